// Files on their way, in either direction, as the daemon tells of them.
import { signal } from "@preact/signals"
import * as conversation from "./conversation"
import { call } from "./rpc"
import type { Message, Transfer } from "./types"

const under = signal<ReadonlyMap<string, Transfer>>(new Map())

const key = (id: string, file: number, direction: string): string => `${id}-${file}-${direction}`

/** transfer is that of a file of a message, if there is one. */
export const transfer = (m: Message, file: number): Transfer | undefined => under.value.get(key(m.id, file, m.mine ? "out" : "in"))

/** refresh lists what is on its way, after the connection was away. */
export async function refresh(): Promise<void> {
  const r = await call<{ transfers: Transfer[] }>("transfers")
  under.value = new Map(r.transfers.map((x) => [key(x.id, x.file, x.direction), x]))
}

/** hear takes in how one goes on. */
export function hear(x: Transfer): void {
  const all = new Map(under.value)
  const k = key(x.id, x.file, x.direction)
  const before = all.get(k)?.state
  if (x.state === "done" || x.state === "failed") all.delete(k)
  else all.set(k, x)
  under.value = all
  if (x.direction === "in" && x.state !== "running" && x.state !== before) look(x.id).catch(() => {}) // it is gone
}

/** look reads a message again whose files are another matter now. */
async function look(id: string): Promise<void> {
  if (!conversation.messages.value.some((m) => m.id === id)) return
  const m = (await call<{ message: Message }>("message", { id })).message
  if (conversation.messages.value.some((x) => x.id === id)) conversation.put(m)
}

export const cancel = (m: Message, file: number): Promise<unknown> => call("cancelTransfer", { id: m.id, file })
export const resume = (m: Message, file: number): Promise<unknown> => call("resumeTransfer", { id: m.id, file })
