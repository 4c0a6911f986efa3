// Search, in every conversation or in the one that is open. The daemon reads
// the messages for it; nothing of a query is kept.
import { effect, signal } from "@preact/signals"
import { h } from "preact"
import { useRef } from "preact/hooks"
import * as conversation from "./conversation"
import { Icon } from "./icons"
import { t } from "./lang"
import { announce, failed, tell } from "./notice"
import { call } from "./rpc"
import { chats, current, shown } from "./store"
import { Name, plain } from "./text"
import { short } from "./time"
import type { Message } from "./types"

export const query = signal("")
export const here = signal(false)
const results = signal<Message[] | null>(null)

/** jumpTo opens the conversation of a message and shows it there. */
export async function jumpTo(m: { id: string; conversation: string }): Promise<void> {
  if (current.value !== m.conversation || conversation.id.value !== m.conversation) {
    current.value = m.conversation
    await conversation.open(m.conversation, 0)
  }
  if (!await conversation.jump(m.id)) tell(t("message.gone"), true)
}

let turn = 0
let later: ReturnType<typeof setTimeout> | undefined

effect(() => {
  const words = query.value.trim()
  const where = here.value ? current.value : ""
  clearTimeout(later)
  const mine = ++turn
  if (!words) {
    results.value = null
    return
  }
  later = setTimeout(async () => {
    try {
      const r = await call<{ messages: Message[] }>("search", { query: words, limit: 50, ...(where && { in: where }) })
      if (mine !== turn) return
      results.value = r.messages
      announce(t("search.found", { n: r.messages.length }))
    } catch (e) {
      if (mine === turn) failed(e)
    }
  }, 150)
})

export function Search() {
  const ref = useRef<HTMLInputElement>(null)
  const inChat = current.value !== "" && current.value !== "requests"
  return (
    <form role="search" class="search" onSubmit={(e) => e.preventDefault()}>
      <Icon name="search" />
      <input
        id="search" ref={ref} type="search" dir="auto" autocomplete="off" value={query.value}
        aria-label={t("search.label")} placeholder={t("search.label")}
        onInput={(e) => { query.value = e.currentTarget.value }}
        onKeyDown={(e) => {
          if (e.key === "Escape") query.value = ""
          if (e.key === "ArrowDown") document.querySelector<HTMLElement>(".chats .row")?.focus()
        }}
      />
      {query.value && inChat && (
        <label class="here"><input type="checkbox" checked={here.value} onChange={(e) => { here.value = e.currentTarget.checked }} />{t("search.here")}</label>
      )}
    </form>
  )
}

/** Results are conversations whose name matches, and messages. */
export function Results() {
  const words = query.value.trim().toLocaleLowerCase()
  const named = here.value ? [] : chats.value.filter((c) => c.name.toLocaleLowerCase().includes(words))
  return (
    <ul class="chats" aria-label={t("search.results")}>
      {named.map((c) => (
        <li key={c.id}><button type="button" class="row" onClick={() => { current.value = c.id; query.value = "" }}><Icon name="person" /><Name of={c.name} /></button></li>
      ))}
      {results.value?.map((m) => (
        <li key={m.id}>
          <button type="button" class="row result" data-result={m.id} onClick={() => jumpTo(m).catch(failed)}>
            <span class="what">
              <span class="top"><Name class="name" of={shown(m.conversation)} /><time dateTime={m.sent}>{short(m.sent)}</time></span>
              <span class="last" dir="auto">{excerpt(m.text, words)}</span>
            </span>
          </button>
        </li>
      ))}
      {results.value?.length === 0 && named.length === 0 && <li class="none">{t("search.none")}</li>}
    </ul>
  )
}

/** excerpt is the part of a text around the first word that was searched for. */
function excerpt(text: string, words: string) {
  const low = text.toLocaleLowerCase()
  const word = words.split(/\s+/).find((w) => low.includes(w)) ?? ""
  const at = word ? low.indexOf(word) : 0
  if (!word || low.length !== text.length) return text.slice(0, 140)
  const from = Math.max(0, at - 30)
  return [
    (from > 0 ? "…" : "") + text.slice(from, at),
    <mark key="m">{text.slice(at, at + word.length)}</mark>,
    plain(text.slice(at + word.length, at + 120)),
  ]
}
