// One message: who, what, when, how far it has come, and what can be done.
import { Fragment, h } from "preact"
import { useState } from "preact/hooks"
import * as conversation from "./conversation"
import { edit, editable, reply } from "./composer"
import { Ask, Menu, menu, show, type Item } from "./dialog"
import { EmojiGrid, often } from "./emoji"
import { Files, Progress } from "./files"
import { Forward } from "./forward"
import { Icon } from "./icons"
import { t } from "./lang"
import { deadline } from "./list"
import { failed, said, tell, tried } from "./notice"
import { again, discard, retry, type Pending } from "./outbox"
import { call } from "./rpc"
import { Card } from "./preview"
import { self, shown } from "./store"
import { Body, Name, plain } from "./text"
import { clock, day, now, span, whole } from "./time"
import { timerWords } from "./timers"
import type { Message } from "./types"

interface Props { of: Message; tab: number; newDay: boolean; divider: boolean; follows: boolean; flash: boolean }

export function MessageItem({ of: m, tab, newDay, divider, follows, flash }: Props) {
  const classes = ["message", m.mine ? "mine" : "theirs", follows && "follows", flash && "flash", m.state === "failed" && m.mine && "failed"]
  return (
    <li data-key={m.id} data-message="" tabIndex={tab} class={classes.filter(Boolean).join(" ")} aria-label={label(m)}>
      {newDay && <p class="day"><time dateTime={m.sent}>{day(m.sent)}</time></p>}
      {divider && <p class="divider">{t("thread.new")}</p>}
      {m.kind === "timer" ? <p class="event"><Icon name="timer" />{timerLine(m)}</p> : (
        <div class="line">
          <div class={m.deleted || m.kind === "newer" ? "bubble gone" : "bubble"} onContextMenu={(e) => { e.preventDefault(); open(m, e.currentTarget as HTMLElement) }}>
            {!follows && !m.mine && <p class="from"><Name of={shown(m.from)} /></p>}
            {m.forwarded && <p class="forwarded"><Icon name="forward" class="small" />{t("message.forwarded")}</p>}
            {m.quote && <Quote of={m} tab={tab} />}
            <Content of={m} tab={tab} />
            <p class="meta">
              <Countdown of={m} />
              {m.waiting && <span title={t("message.waiting.why")}>{t("message.waiting")}</span>}
              {m.edited && !m.deleted && <span>{t("message.edited")}</span>}
              <time dateTime={m.sent} title={whole(m.sent)}>{clock(m.sent)}</time>
              {m.mine && !m.deleted && <State of={m.state} />}
            </p>
          </div>
          {!m.deleted && <Tools of={m} tab={tab} />}
        </div>
      )}
      {m.reactions.length > 0 && <Reactions of={m} tab={tab} />}
      {m.mine && m.state === "failed" && !m.deleted && <Failed of={m} tab={tab} />}
    </li>
  )
}

function Content({ of: m, tab }: { of: Message; tab: number }) {
  if (m.deleted) return <p class="text"><Icon name="trash" class="small" />{t(m.mine ? "message.deleted.mine" : "message.deleted")}</p>
  if (m.kind === "newer") return <p class="text">{t("message.newer")}</p>
  const big = /^(\p{Extended_Pictographic}[\u200d\ufe0f\u{1f3fb}-\u{1f3ff}]*){1,3}$/u.test(m.text)
  return (
    <>
      {m.files.length > 0 && <Files of={m} tab={tab} />}
      {m.text && <p class={big ? "text big" : "text"} dir="auto"><Body text={m.text} styles={m.styles} mentions={m.mentions} me={self.value?.account} /></p>}
      {m.preview && <Card of={m.preview} tab={tab} />}
    </>
  )
}

function Quote({ of: m, tab }: { of: Message; tab: number }) {
  const q = m.quote!
  const jump = async () => {
    if (!await conversation.jump(m.replyTo!)) tell(t("message.gone"), true)
  }
  return (
    <button type="button" class="quote" tabIndex={tab} onClick={() => jump().catch(failed)} title={t("message.source", { name: plain(shown(q.from)) })}>
      <Name class="from" of={shown(q.from)} />
      <span dir="auto">{q.text}</span>
    </button>
  )
}

const icons: Record<string, string> = { sending: "clock", queued: "clock", stored: "tray", delivered: "tick", read: "ticks", failed: "failed" }

/** State says how far a message has come, by shape and in words. */
export function State({ of: s }: { of: string }) {
  return <span class={`state ${s}`} title={t(`state.${s}`)}><Icon name={icons[s] ?? "clock"} class="small" /><span class="unseen">{t(`state.${s}`)}</span></span>
}

/** Countdown is how long a message still is there. */
function Countdown({ of: m }: { of: Message }) {
  if (m.deleted) return null
  const end = deadline(m)
  if (end === Infinity) {
    if (!m.burn) return null
    return <span class="timer" title={t("message.burns", { time: timerWords({ expires: null, burn: m.burn }) })}><Icon name="flame" class="small" />{timerWords({ expires: null, burn: m.burn }, "narrow")}</span>
  }
  const left = (end - Math.max(now.value, Date.now() - 1000)) / 1000
  const words = span(left)
  return <span class="timer" role="timer" aria-label={t("message.left", { time: words })} title={t("message.left", { time: words })}><Icon name={m.burnsAt ? "flame" : "timer"} class="small" />{span(left, "narrow")}</span>
}

function timerLine(m: Message): string {
  const who = plain(m.mine ? t("you") : shown(m.from))
  const words = m.timer ? timerWords(m.timer) : ""
  return words ? t("message.timer", { name: who, time: words }) : t("message.timer.off", { name: who })
}

/** label is what a screen reader says first: Ann, 14:05, read. */
function label(m: Message): string {
  const parts = [plain(m.mine ? t("you") : shown(m.from)), clock(m.sent)]
  if (m.mine && !m.deleted) parts.push(t(`state.${m.state}`))
  if (m.edited) parts.push(t("message.edited"))
  if (m.waiting) parts.push(t("message.waiting"))
  return parts.join(", ")
}

function Tools({ of: m, tab }: { of: Message; tab: number }) {
  return (
    <div class="tools">
      <button type="button" class="icon" tabIndex={tab} aria-label={t("react.title")} title={t("react.title")} onClick={(e) => reactMenu(m, e.currentTarget)}><Icon name="smile" /></button>
      <button type="button" class="icon" tabIndex={tab} aria-label={t("reply.title")} title={t("reply.title")} onClick={() => reply(m)}><Icon name="reply" /></button>
      <button type="button" class="icon" tabIndex={tab} aria-label={t("more")} title={t("more")} aria-haspopup="dialog" onClick={(e) => open(m, e.currentTarget)}><Icon name="more" /></button>
    </div>
  )
}

function Reactions({ of: m, tab }: { of: Message; tab: number }) {
  const by = new Map<string, string[]>()
  for (const r of m.reactions) by.set(r.emoji, [...by.get(r.emoji) ?? [], r.from])
  return (
    <div class="reactions">
      {[...by].map(([emoji, from]) => {
        const mine = from.includes(self.value?.account ?? "")
        const names = from.map((x) => plain(x === self.value?.account ? t("you") : shown(x))).join(", ")
        return (
          <button type="button" tabIndex={tab} class={mine ? "reaction mine" : "reaction"} aria-pressed={mine} title={names}
            aria-label={t("react.by", { emoji: plain(emoji), names })} onClick={() => react(m, mine ? "" : emoji)}>
            <bdi>{emoji}</bdi>{from.length > 1 && <span>{from.length}</span>}
          </button>
        )
      })}
    </div>
  )
}

function Failed({ of: m, tab }: { of: Message; tab: number }) {
  const [busy, setBusy] = useState(false) // its files are read
  const retry = () => {
    setBusy(true)
    tried(() => again(m)).finally(() => setBusy(false))
  }
  return (
    <p class="trouble"><span>{t("state.failed")}</span><button type="button" tabIndex={tab} disabled={busy} onClick={retry}>{t("retry")}</button></p>
  )
}

/** PendingItem is a message that the daemon doesn't have yet. */
export function PendingItem({ of: p, tab }: { of: Pending; tab: number }) {
  const state = p.failed ? "failed" : "sending"
  return (
    <li data-key={p.key} tabIndex={tab} class="message mine pending" aria-label={`${t("you")}, ${clock(p.at)}, ${t(`state.${state}`)}`}>
      <div class="line">
        <div class="bubble">
          {p.files.length > 0 && <Sending of={p} tab={tab} />}
          {p.text && <p class="text" dir="auto">{p.text}</p>}
          <p class="meta"><time dateTime={p.at}>{clock(p.at)}</time><State of={state} /></p>
        </div>
      </div>
      {p.failed && (
        <p class="trouble" role="alert">
          <span>{said(p.failed)}</span>
          <button type="button" tabIndex={tab} onClick={() => retry(p)}>{t("retry")}</button>
          <button type="button" tabIndex={tab} onClick={() => discard(p)}>{t("discard")}</button>
        </p>
      )}
    </li>
  )
}

/** Sending are the files of a message that the daemon doesn't have yet. */
function Sending({ of: p, tab }: { of: Pending; tab: number }) {
  return (
    <ul class="files">
      {p.files.map((u, i) => (
        <li key={i}><div class="chip">
          <Icon name={u.voice ? "mic" : "file"} />
          <div class="about-file">
            <Name of={u.name} class="name" />
            {!u.done.value && <Progress have={u.sent.value} size={u.file.size} rate={u.rate.value} label={t("attach.progress", { name: plain(u.name) })} />}
          </div>
        </div></li>
      ))}
      {!p.failed && !p.id && <li><button type="button" tabIndex={tab} onClick={() => discard(p)}>{t("cancel")}</button></li>}
    </ul>
  )
}

const react = (m: Message, emoji: string) => tried(() => call("react", { id: m.id, emoji }))

function reactMenu(m: Message, from: Element): void {
  menu(() => t("react.title"), from, <EmojiGrid first={often.value} chosen={(e) => react(m, e)} />)
}

/** actions are the keys on a message itself; it tells whether it knew one. */
export function actions(e: KeyboardEvent, m: Message, li: HTMLElement): boolean {
  if (e.ctrlKey || e.metaKey || e.altKey || m.deleted || m.kind === "timer") return false
  switch (e.key) {
    case "Enter":
    case "ContextMenu": open(m, li.querySelector(".bubble") ?? li); return true
    case "r": reply(m); return true
    case "e": if (!editable(m)) return false; edit(m); return true
    case "+": reactMenu(m, li.querySelector(".bubble") ?? li); return true
    case "Delete": remove(m); return true
  }
  return false
}

function open(m: Message, from: Element): void {
  if (m.kind === "timer") return
  const items: Item[] = []
  if (!m.deleted && (m.kind === "text" || m.kind === "file")) {
    items.push(
      { label: t("reply.title"), icon: "reply", do: () => reply(m) },
      { label: t("react.title"), icon: "smile", do: () => reactMenu(m, from) },
    )
    if (m.text) items.push({ label: t("copy"), icon: "copy", do: () => tried(async () => { await navigator.clipboard.writeText(m.text); tell(t("copied")) }) })
    if (!m.burn) items.push({ label: t("forward.title"), icon: "forward", do: () => show(() => t("forward.title"), <Forward of={m} />) })
    if (editable(m)) items.push({ label: t("edit.title"), icon: "edit", do: () => edit(m) })
    items.push({ label: t("details.title"), icon: "eye", do: () => show(() => t("details.title"), <Details of={m} />) })
  }
  items.push({ label: t("delete.title"), icon: "trash", bad: true, do: () => remove(m) })
  menu(() => t("message.menu"), from, <Menu items={items} />)
}

function remove(m: Message): void {
  const here = () => tried(async () => {
    await call("delete", { id: m.id })
    conversation.drop(m.id)
  })
  if (!m.mine || m.deleted) {
    show(() => t("delete.title"), () => <Ask text={t("delete.text.here")} yes={t("delete.here")} bad act={here} />)
    return
  }
  show(() => t("delete.title"), <DeleteMine of={m} here={here} />)
}

function DeleteMine({ of: m, here }: { of: Message; here: () => void }) {
  return (
    <>
      <p>{t("delete.text")}</p>
      <Menu items={[
        { label: t("delete.everyone"), icon: "trash", bad: true, do: () => tried(() => call("unsend", { id: m.id })) },
        { label: t("delete.here"), icon: "trash", do: here },
      ]} />
    </>
  )
}

function Details({ of: m }: { of: Message }) {
  const rows: [string, string][] = [[t("details.sent"), whole(m.sent)]]
  if (m.received) rows.push([t("details.received"), whole(m.received)])
  if (m.mine) rows.push([t("details.state"), t(`state.${m.state}`)])
  if (m.expires) rows.push([t("details.expires"), whole(m.expires)])
  if (m.burn) rows.push([t("details.burn"), timerWords({ expires: null, burn: m.burn })])
  return <dl>{rows.map(([k, v]) => <div><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
}
