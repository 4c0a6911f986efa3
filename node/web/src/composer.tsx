// Where messages are written: Enter sends, unless an input method is at work.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { add, AttachButton, filesOf, taken, tray, TrayView, unsendable, useDrop } from "./attach"
import * as conversation from "./conversation"
import { menu, show } from "./dialog"
import { byName, EmojiGrid, used } from "./emoji"
import { Icon } from "./icons"
import { t } from "./lang"
import { failed, tried } from "./notice"
import { post } from "./outbox"
import { enterSends } from "./prefs"
import { Card, usePreview } from "./preview"
import { canRecord, record, Recorder, recordingFor } from "./record"
import { call, link } from "./rpc"
import { chats, contacts, self, shown } from "./store"
import { Suggestions, useSuggestions } from "./suggest"
import { marked, Name, plain } from "./text"
import { MessageTimer, timerWords } from "./timers"
import type { Draft, Message, Timers } from "./types"
import type { Upload } from "./uploads"

const answering = signal<Message | null>(null)
const editing = signal<Message | null>(null)

export function reply(m: Message): void {
  editing.value = null
  answering.value = m
  focus()
}

/** editable tells whether a message can be given another text: one's own, and
 * the words that go with files. */
export const editable = (m: Message): boolean =>
  m.mine && !m.deleted && m.state !== "failed" && (m.kind === "text" || m.kind === "file" && !m.files.some((f) => f.voice))

export function edit(m: Message): void {
  answering.value = null
  editing.value = m
  focus()
}

export const focus = (): void => { setTimeout(() => document.getElementById("composer")?.focus()) }

export function Composer({ with: who }: { with: string }) {
  const area = useRef<HTMLTextAreaElement>(null)
  const [text, setText] = useState("")
  const [timer, setTimer] = useState<Timers | null>(null) // of the next message; null is the conversation's
  const before = useRef("") // what was begun before a message was edited
  const preview = usePreview(editing.value ? "" : text)
  const suggest = useSuggestions(area, text, change)

  function change(value: string, caret?: number): void {
    setText(value)
    if (caret !== undefined) queueMicrotask(() => area.current?.setSelectionRange(caret, caret))
    if (!editing.value) keepDraft(who, value)
    wroteNow(who, value)
  }

  useEffect(() => {
    answering.value = null
    editing.value = null
    loadDraft(who).then(async (d) => {
      if (!d || !area.current || area.current.value) return
      setText(d.text)
      const m = d.replyTo && await call<{ message: Message }>("message", { id: d.replyTo }).then((r) => r.message, () => null)
      if (m && !m.deleted && !answering.value && conversation.id.value === who) answering.value = m
    })
    if (!matchMedia("(pointer: coarse)").matches) area.current?.focus()
    return () => flushDraft()
  }, [who])

  useLayoutEffect(() => {
    const m = editing.value
    if (!m) return
    before.current = text
    setText(marked(m.text, m.styles))
    return () => setText(before.current)
  }, [editing.value])

  useEffect(() => { // it grows with what is written
    const a = area.current!
    a.style.height = "auto"
    a.style.height = `${Math.min(a.scrollHeight + 2, 220)}px`
  }, [text])

  const send = () => {
    const body = byName(text).trim()
    const files = tray(who)
    if (!body && (editing.value || files.files.length === 0) || !editing.value && unsendable(files)) return
    const m = editing.value
    if (m) {
      if (body !== marked(m.text, m.styles)) tried(() => call("edit", { id: m.id, message: body, markdown: true, mentions: mentionsOf(body) }))
      editing.value = null
      return
    }
    taken(who)
    post(who, body, {
      markdown: true, mentions: mentionsOf(body),
      ...(answering.value && { replyTo: answering.value.id }),
      ...(timer && { expires: timer.expires ?? "off", burn: timer.burn ?? "off" }),
      ...(preview.preview && body.includes(preview.preview.url) && { preview: preview.preview }),
      ...(files.as === "original" && { original: true }), ...(files.as === "full" && { fullSize: true }),
    }, files.files)
    answering.value = null
    setTimer(null)
    setText("")
    dropDraft(who)
  }
  const keydown = (e: KeyboardEvent) => {
    if (e.isComposing || e.keyCode === 229) return // the input method's own Enter
    if (suggest.keydown(e)) return
    if (e.key === "Enter" && !e.shiftKey && (enterSends.value === "send" || e.ctrlKey || e.metaKey)) {
      e.preventDefault()
      send()
    } else if (e.key === "Escape" && (editing.value || answering.value)) {
      e.preventDefault()
      answering.value = editing.value = null
    } else if (e.key === "ArrowUp" && text === "" && !editing.value) {
      const m = conversation.messages.value.findLast(editable)
      if (m) {
        e.preventDefault()
        edit(m)
      }
    }
  }
  const insert = (s: string) => {
    const a = area.current!
    const at = a.selectionStart
    change(text.slice(0, at) + s + text.slice(a.selectionEnd), at + s.length)
    used(s)
    focus()
  }
  const standard = chats.value.find((c) => c.id === who)?.timer
  const effective = timer ?? standard ?? { expires: null, burn: null }
  const words = timerWords(effective)

  const paste = (e: ClipboardEvent) => {
    const d = e.clipboardData
    if (d) preview.pasted(d.getData("text/plain"))
    if (!d || editing.value || d.types.includes("text/plain")) return
    const files = filesOf(d)
    if (files.length === 0) return
    e.preventDefault()
    add(who, files)
  }
  /** say sends what was recorded, with what was chosen for the next message. */
  const say = (u: Upload) => {
    post(who, "", {
      ...(answering.value && { replyTo: answering.value.id }),
      ...(timer && { expires: timer.expires ?? "off", burn: timer.burn ?? "off" }),
    }, [u])
    answering.value = null
    setTimer(null)
    focus()
  }
  const dropping = useDrop(who)
  const files = tray(who)
  const nothing = !text.trim() && (!!editing.value || files.files.length === 0)

  return (
    <form class={dropping ? "composer dropping" : "composer"} onSubmit={(e) => { e.preventDefault(); send() }}>
      {(answering.value || editing.value) && (
        <div class="about">
          <Icon name={editing.value ? "edit" : "reply"} />
          <p><span class="from">{editing.value ? t("edit.title") : <Name of={shown(answering.value!.from)} />}</span><span dir="auto">{(editing.value ?? answering.value)!.text.slice(0, 160)}</span></p>
          <button type="button" class="icon" aria-label={t("cancel")} onClick={() => { answering.value = editing.value = null; focus() }}><Icon name="close" /></button>
        </div>
      )}
      {dropping && <p class="drop-here" role="status"><Icon name="clip" />{t("attach.drop")}</p>}
      {preview.preview && <Card of={preview.preview} remove={() => { preview.remove(); focus() }} />}
      {preview.looking && <p class="quiet looking" role="status">{t("preview.looking")}</p>}
      {!editing.value && <TrayView who={who} />}
      <Suggestions of={suggest} />
      {recordingFor(who) ? <Recorder post={say} /> : <div class="write">
        <AttachButton who={who} disabled={!!editing.value} />
        <button type="button" class="icon" aria-label={t("emoji.title")} title={t("emoji.title")} aria-haspopup="dialog" onClick={(e) => menu(() => t("emoji.title"), e.currentTarget, <EmojiGrid chosen={insert} />)}><Icon name="smile" /></button>
        <button
          type="button" class={words ? "icon on" : "icon"} aria-haspopup="dialog" aria-label={words ? t("timers.message.is", { time: words }) : t("timers.message")}
          title={words ? t("timers.message.is", { time: words }) : t("timers.message")}
          onClick={() => show(() => t("timers.message"), <MessageTimer now={effective} chosen={(x) => { setTimer(x); focus() }} />)}
        ><Icon name="timer" />{timer && <span class="dot" />}</button>
        <textarea
          id="composer" ref={area} rows={1} dir="auto" value={text} aria-label={t("composer.label", { name: plain(shown(who)) })}
          placeholder={link.value === "up" ? t("composer.placeholder") : t("composer.down")}
          aria-controls={suggest.open ? "suggestions" : undefined} aria-activedescendant={suggest.open ? `suggestion-${suggest.at}` : undefined}
          aria-autocomplete={suggest.open ? "list" : undefined}
          onInput={(e) => change(e.currentTarget.value)} onKeyDown={keydown} onPaste={paste}
        />
        {nothing && !editing.value && canRecord() && <button type="button" class="icon" aria-label={t("voice.record")} title={t("voice.record")} onClick={() => tried(() => record(who))}><Icon name="mic" /></button>}
        <button class="icon send" aria-label={t(editing.value ? "edit.save" : "send")} title={t(editing.value ? "edit.save" : "send")} disabled={nothing || !editing.value && unsendable(files)}><Icon name={editing.value ? "tick" : "send"} /></button>
      </div>}
    </form>
  )
}

/** mentionsOf finds @names of contacts and of oneself in a text, where they are
 * after the marks of styles are taken out: only before the first such mark is
 * that the same place, so a text with both has no mentions after it. */
function mentionsOf(text: string): { start: number; length: number; who: string }[] {
  const marks = text.search(/[*_`~|\\]/)
  const plainText = marks < 0 ? text : text.slice(0, marks)
  const names = [...contacts.value.values()].filter((c) => c.state === "approved").map((c) => ({ who: c.id, name: c.petname || c.name }))
  if (self.value?.name) names.push({ who: "me", name: self.value.name })
  names.sort((a, b) => b.name.length - a.name.length)
  const out = []
  for (const m of plainText.matchAll(/(^|\s)@/g)) {
    const start = m.index! + m[1].length
    const n = names.find((x) => x.name && plainText.startsWith(x.name, start + 1))
    if (n) out.push({ start, length: n.name.length + 1, who: n.who })
  }
  return out
}

// Drafts are kept by the daemon, a moment after the last key.

let later: ReturnType<typeof setTimeout> | undefined
let unsaved: { who: string; text: string; replyTo: string } | null = null

function keepDraft(who: string, text: string): void {
  unsaved = { who, text, replyTo: answering.value?.id ?? "" }
  clearTimeout(later)
  later = setTimeout(flushDraft, 500)
}

function flushDraft(): void {
  clearTimeout(later)
  const d = unsaved
  unsaved = null
  if (d) call("draft", d).catch(() => { unsaved ??= d }) // kept until the next key
}

function dropDraft(who: string): void {
  clearTimeout(later)
  unsaved = null
  call("draft", { who, text: "" }).catch(() => {})
}

async function loadDraft(who: string): Promise<Draft | null> {
  try {
    const d = await call<Draft>("draft", { who })
    return d.text ? d : null
  } catch {
    return null
  }
}

let told = 0

/** wroteNow lets the other side know that something is being written. */
function wroteNow(who: string, text: string): void {
  const c = chats.value.find((x) => x.id === who)
  if (!c?.typing || !text || Date.now() - told < 4000) return
  told = Date.now()
  call("sendTyping", { recipient: who }).catch(failed)
}
