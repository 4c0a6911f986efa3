// Short messages of the page itself: to be seen for a while, or only heard.
import { signal } from "@preact/signals"
import { h } from "preact"
import { t } from "./lang"
import { Failure } from "./rpc"

const toasts = signal<{ n: number; text: string; bad: boolean }[]>([])
let n = 0

/** tell shows a line for a while. */
export function tell(text: string, bad = false): void {
  const one = { n: ++n, text, bad }
  toasts.value = [...toasts.value, one]
  setTimeout(() => { toasts.value = toasts.value.filter((x) => x !== one) }, bad ? 9000 : 5000)
}

/** failed tells what went wrong, and what to do about it. */
export function failed(e: unknown): void {
  if (e instanceof Failure) tell(said(e), true)
  else tell(String(e), true)
}

/** said is a failure in the reader's language, where the catalogue has it. */
export function said(f: Failure): string {
  const key = `error.${f.code}`
  const known = t(key)
  if (known !== key) return known
  return f.hint && !f.hint.includes("rushlight ") ? `${f.message}. ${f.hint}` : f.message
}

/** tried runs what may fail, and tells if it did. */
export async function tried(f: () => Promise<unknown>): Promise<boolean> {
  try {
    await f()
    return true
  } catch (e) {
    failed(e)
    return false
  }
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((x) => <p key={x.n} class={x.bad ? "toast bad" : "toast"}>{x.text}</p>)}
    </div>
  )
}

const heard = signal("")

/** announce says a line to whoever listens to a screen reader. */
export function announce(text: string): void {
  heard.value = heard.value === text ? text + "\u00a0" : text
}

export function Announcer() {
  return <div class="unseen" role="status" aria-live="polite">{heard.value}</div>
}
