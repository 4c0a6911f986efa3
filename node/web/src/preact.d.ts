// What this page uses of the modules in ../modules, and which attributes its
// elements have: less than they can, and so what isn't known here is a mistake.
declare module "preact" {
  export interface VNode { readonly type: unknown; readonly props: unknown }
  export type ComponentChild = VNode | string | number | bigint | boolean | null | undefined
  export type ComponentChildren = ComponentChild | ComponentChildren[]
  type Component = (props: any) => ComponentChild

  export function h(type: string | Component, props: object | null, ...children: ComponentChildren[]): VNode
  export function Fragment(props: { children?: ComponentChildren }): ComponentChild
  export function render(what: ComponentChild, into: Element): void

  /** An event as its handler on an element gets it. */
  type Event1<E, T> = Omit<E, "currentTarget"> & { readonly currentTarget: T }
  type Handler<E, T> = (e: Event1<E, T>) => unknown

  interface Handlers<T> {
    onCancel?: Handler<Event, T>; onChange?: Handler<Event, T>; onClick?: Handler<MouseEvent, T>; onContextMenu?: Handler<MouseEvent, T>
    onDurationChange?: Handler<Event, T>; onEnded?: Handler<Event, T>; onFocus?: Handler<FocusEvent, T>; onFocusCapture?: Handler<FocusEvent, T>
    onInput?: Handler<InputEvent, T>; onKeyDown?: Handler<KeyboardEvent, T>; onPaste?: Handler<ClipboardEvent, T>; onPause?: Handler<Event, T>
    onPlay?: Handler<Event, T>; onPointerDown?: Handler<PointerEvent, T>; onScroll?: Handler<Event, T>; onSubmit?: Handler<SubmitEvent, T>
    onTimeUpdate?: Handler<Event, T>
  }

  interface Attributes<T> extends Handlers<T> {
    key?: string | number; ref?: { current: T | null }; children?: ComponentChildren
    autofocus?: boolean; class?: string; dir?: "auto" | "ltr" | "rtl"; hidden?: boolean; id?: string; lang?: string; role?: string; spellcheck?: boolean
    style?: Record<string, string>; tabIndex?: number; title?: string
    [data: `data-${string}`]: string | boolean | undefined
    [aria: `aria-${string}`]: string | number | boolean | undefined
  }

  interface Field { autocomplete?: string; disabled?: boolean; inputMode?: string; maxLength?: number; name?: string; placeholder?: string; readOnly?: boolean; required?: boolean; value?: string | number }

  /** What elements have beside what all have. */
  interface Own {
    a: { href?: string; rel?: string; target?: string }
    audio: { preload?: string; src?: string }
    button: { disabled?: boolean; type?: "button" | "submit" }
    img: { alt: string; height?: number; src?: string; width?: number }
    input: Field & { accept?: string; checked?: boolean; max?: string | number; min?: string | number; multiple?: boolean; step?: string | number; type?: string }
    label: { for?: string }
    option: { disabled?: boolean; selected?: boolean; value?: string }
    progress: { max?: number; value?: number }
    select: Field
    textarea: Field & { rows?: number }
    time: { dateTime?: string }
  }

  interface Drawn extends Attributes<SVGElement> {
    d?: string; height?: string | number; preserveAspectRatio?: string; rx?: string | number; "shape-rendering"?: string
    viewBox?: string; width?: string | number; x?: string | number; y?: string | number
  }

  export namespace h {
    namespace JSX {
      type Element = VNode
      interface ElementChildrenAttribute { children: unknown }
      interface IntrinsicAttributes { key?: string | number }
      type IntrinsicElements =
        { [K in keyof HTMLElementTagNameMap]: Attributes<HTMLElementTagNameMap[K]> & (K extends keyof Own ? Own[K] : unknown) } &
        { [K in "svg" | "path" | "rect"]: Drawn }
    }
  }
}

declare module "preact/hooks" {
  export function useState<S>(first: S | (() => S)): [S, (to: S | ((was: S) => S)) => void]
  export function useRef<T>(first: T): { current: T }
  export function useRef<T>(first: T | null): { current: T | null }
  export function useEffect(f: () => void | (() => void), on?: readonly unknown[]): void
  export function useLayoutEffect(f: () => void | (() => void), on?: readonly unknown[]): void
}

declare module "@preact/signals" {
  export interface Signal<T> { value: T; peek(): T }
  export function signal<T>(value: T): Signal<T>
  export function computed<T>(f: () => T): { readonly value: T; peek(): T }
  export function effect(f: () => void | (() => void)): () => void
  export function batch<T>(f: () => T): T
  export function useSignalEffect(f: () => void | (() => void)): void
}
