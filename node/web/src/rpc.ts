// The connection to the daemon: a WebSocket that says who it is first, and
// JSON-RPC 2.0 over it. It comes back by itself when it was lost.
import { signal } from "@preact/signals"
import { forgetToken, token } from "./session"
import type { Event } from "./types"

/** How the connection is: denied means that the daemon wants another login. */
export type Link = "connecting" | "up" | "down" | "denied"
export const link = signal<Link>("connecting")

/** A Failure is an error of the daemon; code is one of its stable words. */
export class Failure extends Error {
  constructor(readonly code: string, message: string, readonly hint = "") { super(message) }
}

const away = () => new Failure("no_daemon", "Rushlight is not running")

interface Waiting { resolve(v: unknown): void; reject(e: Failure): void }

let socket: WebSocket | null = null
let ready = false
let nextID = 1
let waiting = new Map<number, Waiting>()
let delay = 0
let timer: ReturnType<typeof setTimeout> | undefined

let whenUp: () => void = () => {}
let whenEvent: (e: Event) => void = () => {}
let whenWatchEnded: () => void = () => {}

/** connect opens the connection and keeps it open. */
export function connect(up: () => void, event: (e: Event) => void, watchEnded: () => void): void {
  whenUp = up
  whenEvent = event
  whenWatchEnded = watchEnded
  open()
  addEventListener("online", hurry)
  document.addEventListener("visibilitychange", () => { if (!document.hidden) hurry() })
}

/** call asks the daemon for one thing. */
export function call<T>(method: string, params: object = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    if (!socket || !ready) return reject(away())
    const id = nextID++
    waiting.set(id, { resolve: resolve as (v: unknown) => void, reject })
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }))
  })
}

function hurry(): void {
  if (link.value !== "down") return
  clearTimeout(timer)
  delay = 0
  open()
}

function open(): void {
  const secret = token()
  if (!secret) {
    link.value = "denied"
    return
  }
  const ws = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/v1/ws")
  socket = ws
  ready = false
  ws.onopen = () => ws.send(JSON.stringify({ jsonrpc: "2.0", id: 0, method: "authenticate", params: { token: secret } }))
  ws.onmessage = (m) => { if (socket === ws) hear(JSON.parse(m.data)) }
  ws.onclose = (e) => { if (socket === ws) lost(e.code) }
}

interface Heard {
  id?: number; method?: string; params?: unknown; result?: unknown
  error?: { message: string; data?: { code: string; message: string; hint: string } }
}

function hear(m: Heard): void {
  if (!ready) { // the answer to who we are
    if (m.id !== 0 || !m.result) return
    ready = true
    delay = 0
    link.value = "up"
    whenUp()
    return
  }
  if (m.method === "event") return whenEvent(m.params as Event)
  if (m.method === "watchEnded") return whenWatchEnded()
  const asked = m.id === undefined ? undefined : waiting.get(m.id)
  if (!asked) return
  waiting.delete(m.id!)
  if (m.error) {
    const d = m.error.data
    asked.reject(new Failure(d?.code ?? "internal", d?.message ?? m.error.message, d?.hint))
  } else asked.resolve(m.result)
}

/** The code with which the daemon closes a connection without a good token. */
const noToken = 4401

function lost(code: number): void {
  socket = null
  ready = false
  const orphans = waiting
  waiting = new Map()
  for (const w of orphans.values()) w.reject(away())
  if (code === noToken) {
    forgetToken()
    link.value = "denied"
    return
  }
  link.value = "down"
  delay = Math.min(delay ? delay * 1.6 : 150, 4000)
  timer = setTimeout(open, delay * (0.7 + Math.random() * 0.6))
}
