// The conversation that is open: the part of its messages that was loaded, in
// the order in which they are shown, and what happens to them.
import { batch, effect, signal } from "@preact/signals"
import { call } from "./rpc"
import { now } from "./time"
import type { Event, Message } from "./types"

const page = 100

export const id = signal("")
export const messages = signal<Message[]>([])
/** Nothing older than the first message is there. */
export const complete = signal(false)
export const loading = signal(false)
/** The first message that was unread when the conversation was opened. */
export const divider = signal("")
/** A message to be brought into view, and how often that was asked. */
export const target = signal<{ id: string; n: number } | null>(null)

let generation = 0 // of what is open; answers to questions about something else are dropped

/** open shows a conversation; its messages come soon. */
export async function open(who: string, unread: number): Promise<void> {
  const mine = ++generation
  batch(() => {
    id.value = who
    messages.value = []
    complete.value = false
    divider.value = ""
    target.value = null
    loading.value = true
  })
  const limit = Math.max(page, Math.min(unread + 20, 1000))
  const list = await read({ limit })
  if (mine !== generation) return
  // The first of a part isn't shown until what comes before it is there.
  const news = list.slice(list.length < limit ? 0 : 1).filter((m) => !m.mine && m.state !== "read")
  batch(() => {
    messages.value = list
    complete.value = list.length < limit
    divider.value = news[0]?.id ?? ""
    loading.value = false
  })
}

export function close(): void {
  generation++
  batch(() => { id.value = ""; messages.value = [] })
}

async function read(params: object): Promise<Message[]> {
  const r = await call<{ messages: Message[] }>("read", { who: id.value, peek: true, ...params })
  return r.messages
}

/** refresh reads again what is shown, after the connection was away. */
export async function refresh(): Promise<void> {
  if (!id.value) return
  const mine = generation
  const want = Math.max(page, messages.value.length)
  const list = await read({ limit: want })
  if (mine !== generation) return
  batch(() => {
    messages.value = list
    complete.value = list.length < want
    loading.value = false
  })
}

/** older loads the page before the first message. */
export async function older(limit = page): Promise<boolean> {
  const first = messages.value[0]
  if (!first || complete.value || loading.value) return false
  const mine = generation
  loading.value = true
  try {
    const list = await read({ limit, before: first.id })
    if (mine !== generation) return false
    const known = new Set(messages.value.map((m) => m.id))
    batch(() => {
      messages.value = [...list.filter((m) => !known.has(m.id)), ...messages.value]
      complete.value = list.length < limit
    })
    return true
  } catch {
    return false
  } finally {
    if (mine === generation) loading.value = false
  }
}

/** jump brings a message into view, however far back it is; false: it is gone. */
export async function jump(message: string): Promise<boolean> {
  for (;;) {
    const at = messages.value.findIndex((m) => m.id === message)
    if (at > 0 || at === 0 && complete.value) break
    if (!await older(500)) {
      if (at < 0) return false
      break
    }
  }
  target.value = { id: message, n: (target.value?.n ?? 0) + 1 }
  return true
}

/** seen says that everything up to a message was on the screen. */
export async function seen(upTo: string): Promise<void> {
  const list = messages.value
  const at = list.findIndex((m) => m.id === upTo)
  const next = list[at + 1]
  const r = await call<{ messages: Message[] }>("read", { who: id.value, unread: true, ...(next && { before: next.id }) })
  for (const m of r.messages) put(m)
}

/** put takes in a message as it is now. */
export function put(m: Message): void {
  if (m.conversation !== id.value) return
  const list = messages.value
  const at = list.findLastIndex((x) => x.id === m.id)
  if (at >= 0) {
    messages.value = list.with(at, m)
    return
  }
  if (m.mine) divider.value = ""
  messages.value = [...list, m]
  if (list.length > 0 && list[list.length - 1].sent > m.sent || list.some((x) => x.waiting)) tail()
}

let reading = false
let again = false // something has happened since it began

/** tail reads the newest messages again: one came late, or from a clock that
 * differs, and only the daemon knows its place. */
async function tail(): Promise<void> {
  again = reading
  if (reading) return
  reading = true
  const mine = generation
  try {
    const list = await read({ limit: page })
    if (mine !== generation) return
    const ids = new Set(list.map((m) => m.id))
    const rest = messages.value.filter((m) => !ids.has(m.id))
    const newest = list.length > 0 ? messages.value.findIndex((m) => m.id === list[0].id) : -1
    if (newest >= 0) messages.value = [...rest, ...list]
  } catch { /* the next refresh puts it right */ } finally {
    reading = false
    if (again) tail()
  }
}

export function drop(message: string): void {
  if (messages.value.some((m) => m.id === message)) {
    messages.value = messages.value.filter((m) => m.id !== message)
  }
}

function change(message: string, by: (m: Message) => Message): void {
  const at = messages.value.findLastIndex((m) => m.id === message)
  if (at >= 0) messages.value = messages.value.with(at, by(messages.value[at]))
}

/** hear takes in what has happened. */
export function hear(e: Event): void {
  switch (e.type) {
    case "message":
      return put(e.message!)
    case "edit":
      return change(e.edit!.id, () => e.edit!)
    case "placed":
      if (e.placed!.conversation !== id.value) return
      change(e.placed!.id, () => e.placed!)
      return void tail()
    case "state":
      return change(e.state!.id, (m) => ({ ...m, state: e.state!.state }))
    case "expired":
      return drop(e.expired!.id)
    case "delete":
      return change(e.delete!.id, (m) => ({ ...m, deleted: true, text: "", styles: [], mentions: [], reactions: [], quote: null, files: [], preview: null }))
    case "reaction": {
      const r = e.reaction!
      return change(r.id, (m) => {
        const others = m.reactions.filter((x) => x.from !== r.from)
        return { ...m, reactions: r.emoji ? [...others, { emoji: r.emoji, from: r.from }] : others }
      })
    }
  }
}

// What has expired is not shown, also when the daemon is away.
effect(() => {
  const at = now.value
  const gone = (m: Message) => [m.expires, m.burnsAt].some((x) => x && Date.parse(x) <= at)
  if (messages.peek().some(gone)) messages.value = messages.peek().filter((m) => !gone(m))
})
