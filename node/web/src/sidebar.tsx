// The list of conversations, the search, and how the connection is.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useRef } from "preact/hooks"
import { chatMenu } from "./chatmenu"
import { show } from "./dialog"
import { Flame, Icon } from "./icons"
import { AddForm, InviteForm } from "./invite"
import { t } from "./lang"
import { Connection } from "./network"
import { query, Results, Search } from "./search"
import { Settings } from "./settings"
import { chats, contact, current, requests, typing } from "./store"
import { Name, plain } from "./text"
import { short } from "./time"
import type { Chat, Message } from "./types"

const archive = signal(false)

export function Sidebar() {
  const all = chats.value.filter((c) => !contact(c.id)?.request)
  const archived = all.filter((c) => c.archived)
  const list = archive.value ? archived : all.filter((c) => !c.archived)
  return (
    <nav class="sidebar" aria-label={t("chats.title")}>
      <header>
        <p class="brand"><Flame />Rushlight</p>
        <button type="button" class="icon" aria-label={t("add.title")} title={t("add.title")} onClick={() => show(() => t("add.title"), <AddForm />)}><Icon name="plus" /></button>
        <button type="button" class="icon" aria-label={t("invite.title")} title={t("invite.title")} onClick={() => show(() => t("invite.title"), <InviteForm />)}><Icon name="invite" /></button>
        <button type="button" class="icon" aria-label={t("settings.title")} title={t("settings.title")} onClick={() => show(() => t("settings.title"), <Settings />)}><Icon name="settings" /></button>
      </header>
      <Search />
      {requests.value.length > 0 && (
        <button type="button" class="row requests" aria-current={current.value === "requests" ? "true" : undefined} onClick={() => { current.value = "requests" }}>
          <Icon name="inbox" /><span>{t("requests.title")}</span><span class="badge">{requests.value.length}</span>
        </button>
      )}
      {query.value ? <Results /> : <List of={list} />}
      {!query.value && (archived.length > 0 || archive.value) && (
        <button type="button" class="row quiet" onClick={() => { archive.value = !archive.value }}>
          <Icon name={archive.value ? "back" : "archive"} /><span>{archive.value ? t("chats.back") : t("chats.archived", { n: archived.length })}</span>
        </button>
      )}
      <Connection />
    </nav>
  )
}

function List({ of: list }: { of: Chat[] }) {
  const ref = useRef<HTMLUListElement>(null)
  const move = (e: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key]
    if (!step) return
    const all = [...ref.current!.querySelectorAll<HTMLElement>(".row")]
    const to = all[all.indexOf(document.activeElement as HTMLElement) + step]
    if (to) {
      e.preventDefault()
      to.focus()
    }
  }
  const stop = list.some((c) => c.id === current.value) ? current.value : list[0]?.id
  return (
    <ul class="chats" ref={ref} onKeyDown={move} aria-label={t("chats.title")}>
      {list.map((c) => <Row key={c.id} of={c} stop={c.id === stop} />)}
    </ul>
  )
}

function Row({ of: c, stop }: { of: Chat; stop: boolean }) {
  const k = contact(c.id)
  const name = c.name || c.id.slice(0, 12) + "…"
  const open = (e: MouseEvent) => {
    e.preventDefault()
    chatMenu(c, e.currentTarget as Element)
  }
  const unread = c.unread > 0
  return (
    <li>
      <button
        type="button" class={unread ? "row unread" : "row"} tabIndex={stop ? 0 : -1} data-chat={c.id}
        aria-current={current.value === c.id ? "true" : undefined}
        onClick={() => { current.value = c.id }} onContextMenu={open}
      >
        <Avatar id={c.id} name={name} />
        <span class="what">
          <span class="top">
            <Name class="name" of={name} />
            {k?.verified && <Icon name="verified" class="small" label={t("verify.done")} />}
            {c.pinned && <Icon name="pin" class="small" label={t("chats.pinned")} />}
            {c.muted && <Icon name="mute" class="small" label={t("chats.muted")} />}
            {c.last && <time dateTime={c.last.sent}>{short(c.last.sent)}</time>}
          </span>
          <span class="top">
            <span class="last" dir="auto">{typing.value[c.id] ? <em>{t("typing")}</em> : lastLine(c)}</span>
            {unread && <span class="badge"><span aria-hidden="true">{c.unread}</span><span class="unseen">{t("chats.unread", { n: c.unread })}</span></span>}
          </span>
        </span>
      </button>
    </li>
  )
}

function lastLine(c: Chat): string {
  const k = contact(c.id)
  if (k?.state === "blocked") return t("chats.blocked")
  if (c.draft && current.value !== c.id) return t("chats.draft", { text: c.draft.text })
  if (k?.state === "pending") return t(k.awaits ? "chats.awaits" : "chats.pending")
  if (!c.last) return t("chats.empty")
  const text = line(c.last)
  return c.last.mine ? t("chats.mine", { text }) : text
}

/** line is a message in one line. */
export function line(m: Message): string {
  if (m.deleted) return t("message.deleted")
  if (m.burn && !m.mine && m.state !== "read") return t("message.burns.unseen") // what it says is to be seen when it is opened
  if (m.kind === "timer") return t("message.timer.short")
  if (m.kind === "newer") return t("message.newer")
  if (!m.text && m.files.length > 0) return m.files[0].voice ? t("voice.title") : plain(m.files[0].name)
  return m.text.slice(0, 200)
}

/** Avatar is a coloured letter; the colour is of the account, not of the name. */
export function Avatar({ id, name, class: c }: { id: string; name: string; class?: string }) {
  let sum = 0
  for (const ch of id) sum = (sum * 31 + ch.codePointAt(0)!) % 997
  return <span class={`avatar tint${sum % 6} ${c ?? ""}`} aria-hidden="true">{[...plain(name).replaceAll("\ufffd", "")][0]?.toUpperCase() ?? "?"}</span>
}
