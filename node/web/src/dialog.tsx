// Dialogs: one at a time, modal, closed by Escape; where the focus was, it
// returns to.
import { signal } from "@preact/signals"
import { h, type ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { Icon } from "./icons"
import { t } from "./lang"

/** What is made anew when the language changes while it is shown. */
type Words = string | (() => string)
type Content = ComponentChildren | (() => ComponentChildren)

interface Open { n: number; title: Words; content: Content; kind: string; at?: DOMRect; back: Element | null }

const open = signal<Open | null>(null)
let n = 0

/** show opens a dialog in place of the one that is open, if any. */
export function show(title: Words, content: Content, kind = ""): void {
  const back = open.value?.back ?? document.activeElement
  open.value = { n: ++n, title, content, kind, back }
}

/** menu opens a small dialog at an element. */
export function menu(title: Words, at: Element, content: Content): void {
  open.value = { n: ++n, title, content, kind: "menu", at: at.getBoundingClientRect(), back: open.value?.back ?? document.activeElement }
}

/** close closes the dialog, if there is one. */
export function close(): void {
  const was = open.value
  if (!was) return
  open.value = null
  const back = was.back
  setTimeout(() => { // once it is out of the document
    if (open.value || !(back instanceof HTMLElement) || !back.isConnected || document.activeElement !== document.body) return
    back.focus()
  })
}

export function Dialogs() {
  return open.value && <Dialog key={open.value.n} of={open.value} />
}

function Dialog({ of }: { of: Open }) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const d = ref.current!
    d.showModal()
    if (of.at) place(d, of.at)
    const first = d.querySelector<HTMLElement>("[data-first]") ?? d.querySelector<HTMLElement>("input, textarea, select, .list button, .content button")
    first?.focus()
    return () => d.close()
  }, [])
  return (
    <dialog
      ref={ref} class={of.kind} aria-labelledby="dialog-title"
      onCancel={(e) => { e.preventDefault(); close() }}
      onClick={(e) => { if (e.target === ref.current) close() }}
    >
      <div class="frame">
        <header class={of.kind === "menu" ? "unseen" : ""}>
          <h2 id="dialog-title">{typeof of.title === "function" ? of.title() : of.title}</h2>
          {of.kind !== "menu" && <button type="button" class="icon" aria-label={t("close")} onClick={close}><Icon name="close" /></button>}
        </header>
        <div class="content">{typeof of.content === "function" ? of.content() : of.content}</div>
      </div>
    </dialog>
  )
}

/** place puts a menu beside what it belongs to, inside the window. */
function place(d: HTMLDialogElement, at: DOMRect): void {
  const box = d.getBoundingClientRect()
  const left = Math.max(8, Math.min(at.left, innerWidth - box.width - 8))
  const below = at.bottom + 4 + box.height < innerHeight
  d.style.margin = "0"
  d.style.left = `${left}px`
  d.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - box.height - 4)}px`
}

export interface Item { label: string; icon?: string; bad?: boolean; do: () => void }

/** Menu is a list of things to do; arrows move, Home and End too. */
export function Menu({ items }: { items: Item[] }) {
  const ref = useRef<HTMLDivElement>(null)
  const move = (e: KeyboardEvent) => {
    const all = [...ref.current!.querySelectorAll<HTMLElement>("[role=menuitem]")]
    const at = all.indexOf(document.activeElement as HTMLElement)
    const to: Record<string, number> = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }
    if (!(e.key in to)) return
    e.preventDefault()
    all[to[e.key]].focus()
  }
  return (
    <div role="menu" class="list" ref={ref} onKeyDown={move} aria-labelledby="dialog-title">
      {items.map((x, i) => (
        <button
          type="button" role="menuitem" tabIndex={i === 0 ? 0 : -1} class={x.bad ? "bad" : ""} data-first={i === 0 ? "" : undefined}
          onClick={() => { close(); x.do() }}
        >{x.icon && <Icon name={x.icon} />}<span>{x.label}</span></button>
      ))}
    </div>
  )
}

/** Ask is a question with one thing to do. */
export function Ask({ text, yes, bad, act }: { text: string; yes: string; bad?: boolean; act: () => void }) {
  return (
    <div>
      <p>{text}</p>
      <div class="buttons">
        <button type="button" onClick={close}>{t("cancel")}</button>
        <button type="button" class={bad ? "danger" : "primary"} data-first="" onClick={() => { close(); act() }}>{yes}</button>
      </div>
    </div>
  )
}
