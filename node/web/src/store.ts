// What the page knows of the daemon: who this is, the contacts, the list of
// conversations, how the network is. Everything is fetched anew when the
// connection comes back, and kept up by events in between.
import { batch, computed, signal } from "@preact/signals"
import * as conversation from "./conversation"
import { failed } from "./notice"
import * as outbox from "./outbox"
import { call, connect, Failure, link } from "./rpc"
import * as transfers from "./transfers"
import type { Chat, Contact, Event, Self, Status } from "./types"

export const self = signal<Self | null>(null)
export const contacts = signal<Map<string, Contact>>(new Map())
export const chats = signal<Chat[]>([])
export const status = signal<Status | null>(null)
export const locked = signal(false)
export const loaded = signal(false)
/** The recovery code, while it hasn't been confirmed. */
export const recovery = signal("")

/** What the main part shows: a conversation's id, or nothing. */
export const current = signal("")

export const requests = computed(() => [...contacts.value.values()].filter((c) => c.request))
export const contact = (id: string): Contact | undefined => contacts.value.get(id)

/** shown is what to call a contact. */
export function shown(id: string): string {
  if (id === self.value?.account) return self.value.name
  const c = contact(id)
  return c?.petname || c?.name || chats.value.find((x) => x.id === id)?.name || id.slice(0, 12) + "…"
}

let seq: number | undefined // of the last event that was heard

export function start(): void {
  connect(begin, hear, () => { seq = undefined; begin() })
  setInterval(() => { if (!document.hidden) refreshStatus() }, 30_000)
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshStatus() })
  for (const what of ["keydown", "pointerdown", "wheel"]) addEventListener(what, there, { capture: true, passive: true })
}

let used = 0
const tellUse = 20_000 // ms; a profile that locks itself does so no sooner than after a minute, if chosen here

/** there tells the daemon that somebody uses the page, so that it isn't locked. */
function there(): void {
  if (Date.now() - used < tellUse || !loaded.value) return
  used = Date.now()
  call("active").catch(() => {})
}

async function begin(): Promise<void> {
  try {
    const s = await call<Status>("status")
    batch(() => { status.value = s; locked.value = !!s.locked })
    if (s.locked) return forget()
    await follow()
    await Promise.all([
      call<Self>("id").then((v) => { self.value = v }),
      refreshContacts(), refreshChats(), askRecovery(), conversation.refresh(), transfers.refresh(),
    ])
    loaded.value = true
    outbox.flush()
    setTimeout(refreshStatus, 3000) // relays and peers come while it starts
  } catch (e) {
    if (e instanceof Failure && e.code === "locked") locked.value = true
    else if (!(e instanceof Failure) || e.code !== "no_daemon") failed(e)
  }
}

/** follow hears events from where it left off; after too long it starts over. */
async function follow(): Promise<void> {
  try {
    const r = await call<{ seq: number }>("watch", seq === undefined ? {} : { after: seq })
    seq ??= r.seq
  } catch (e) {
    if (!(e instanceof Failure) || e.code !== "gone") throw e
    seq = undefined
    await follow()
  }
}

async function askRecovery(): Promise<void> {
  try {
    recovery.value = (await call<{ code: string }>("recovery")).code
  } catch (e) {
    if (e instanceof Failure && e.code === "no_daemon") throw e // else there is none to show
  }
}

/** forget drops what a locked profile must not show. */
function forget(): void {
  batch(() => {
    self.value = null
    contacts.value = new Map()
    chats.value = []
    current.value = ""
    loaded.value = false
  })
  seq = undefined
  conversation.close()
}

export async function refreshStatus(): Promise<void> {
  if (link.value !== "up") return
  try {
    const s = await call<Status>("status")
    batch(() => { status.value = s; locked.value = !!s.locked })
  } catch { /* the connection says what is wrong */ }
}

export async function refreshContacts(): Promise<void> {
  const r = await call<{ contacts: Contact[] }>("contacts")
  contacts.value = new Map(r.contacts.map((c) => [c.id, c]))
}

export async function refreshChats(): Promise<void> {
  const r = await call<{ conversations: Chat[] }>("conversations")
  chats.value = r.conversations
}

let pending: ReturnType<typeof setTimeout> | undefined

/** soon refreshes the list of conversations after a burst of events. */
export function soon(): void {
  pending ??= setTimeout(() => {
    pending = undefined
    refreshChats().catch(() => {})
  }, 120)
}

/** Who writes, and until when that is shown. */
export const typing = signal<Record<string, number>>({})

function hear(e: Event): void {
  if (e.seq) seq = e.seq
  switch (e.type) {
    case "typing":
      wrote(e.typing!.conversation)
      return
    case "network":
      if (status.value) status.value = { ...status.value, network: e.network! }
      return
    case "transfer":
      transfers.hear(e.transfer!)
      return
    case "contact":
    case "request": {
      const c = (e.contact ?? e.request)!
      const all = new Map(contacts.value)
      if (c.state === "removed") all.delete(c.id)
      else all.set(c.id, c)
      contacts.value = all
      if (c.state === "removed" && current.value === c.id) current.value = ""
      soon()
      return
    }
    case "message":
      if (e.message!.mine) outbox.arrived(e.message!)
      else if (typing.value[e.message!.conversation]) {
        const { [e.message!.conversation]: _, ...rest } = typing.value
        typing.value = rest
      }
  }
  conversation.hear(e)
  soon()
}

function wrote(id: string): void {
  const until = Date.now() + 6000
  typing.value = { ...typing.value, [id]: until }
  setTimeout(() => {
    if (typing.value[id] === until) {
      const { [id]: _, ...rest } = typing.value
      typing.value = rest
    }
  }, 6000)
}
