// Messages on their way to the daemon. While it is away they wait here and are
// sent when it is back, once: the key of each tells the daemon one it has had.
// They are kept in memory alone, as the browser's storage could not erase them;
// leaving the page while some wait asks first.
import { signal } from "@preact/signals"
import { content } from "./content"
import * as conversation from "./conversation"
import { call, Failure, link } from "./rpc"
import { marked } from "./text"
import type { Message } from "./types"
import { Upload } from "./uploads"

export interface Pending {
  key: string; conversation: string; text: string; at: string
  params: object
  /** What is sent with it; that goes to the daemon first. */
  files: Upload[]
  /** The daemon's id of it, as soon as that is known. */
  id: string
  /** Why it wasn't taken; then it waits for a person's decision. */
  failed: Failure | null
}

export const pending = signal<Pending[]>([])
const under = new Set<string>() // keys of what the daemon has been given and not answered yet

addEventListener("beforeunload", (e) => { if (pending.value.length > 0) e.preventDefault() })

/** post sends a message, now or later. */
export function post(conversation: string, text: string, params: object, files: Upload[] = []): void {
  const p: Pending = { key: crypto.randomUUID(), conversation, text, params, files, at: new Date().toISOString(), id: "", failed: null }
  pending.value = [...pending.value, p]
  hand(p)
}

/** again sends a message that failed anew, as it was: its files are read first,
 * as they go with it. */
export async function again(m: Message): Promise<void> {
  const files: Upload[] = []
  for (const f of m.files) files.push(new Upload(await content(f), f.name, f.voice ?? null))
  await call("delete", { id: m.id })
  conversation.drop(m.id)
  const life = m.expires ? `${Math.max(5, Math.round((Date.parse(m.expires) - Date.parse(m.sent)) / 1000))}s` : "off"
  post(m.conversation, marked(m.text, m.styles), {
    markdown: true, mentions: m.mentions.map((x) => ({ start: x.start, length: x.length, who: x.account })),
    expires: life, burn: m.burn ?? "off",
    ...(m.forwarded && { forwarded: true }), ...(m.replyTo && { replyTo: m.replyTo }), ...(m.preview && { preview: m.preview }),
    ...(files.length > 0 && { original: true }), // they were made ready when it was sent first
  }, files)
}

/** flush sends everything that waits, in the order in which it was written. */
export function flush(): void {
  under.clear()
  for (const p of pending.value) if (!p.failed) hand(p)
}

export function retry(p: Pending): void {
  update(p.key, { failed: null })
  hand(p)
}

export function discard(p: Pending): void {
  for (const f of p.files) f.drop()
  pending.value = pending.value.filter((x) => x.key !== p.key)
}

async function hand(p: Pending): Promise<void> {
  if (link.value !== "up" || under.has(p.key)) return
  under.add(p.key)
  try {
    const files = await Promise.all(p.files.map((f) => f.ready()))
    if (!pending.value.some((x) => x.key === p.key)) return // given up meanwhile
    const voice = p.files[0]?.voice
    const r = await call<{ id: string }>("send", { recipient: p.conversation, message: p.text, idempotencyKey: p.key, ...p.params,
      ...(files.length > 0 && { attachments: files.map((f) => `upload:${f.id}`), thumbnails: files.map((f) => f.shownBy ? f.thumbnail : "") }), ...(voice && { voice }),
    })
    under.delete(p.key)
    if (heard.has(r.id)) discard(p)
    else update(p.key, { id: r.id })
  } catch (e) {
    under.delete(p.key)
    const f = e instanceof Failure ? e : new Failure("internal", String(e))
    if (f.code === "usage" && "preview" in p.params) { // its marks for styles have taken the link apart
      const { preview: _, ...rest } = p.params as { preview: unknown }
      p.params = rest
      return hand(p)
    }
    if (f.code === "no_file" && p.files.some((x) => x.done.value)) { // the daemon began anew since it took them in
      for (const x of p.files) x.again()
      return hand(p)
    }
    if (f.code !== "no_daemon" && f.code !== "shutting_down" && f.code !== "locked") update(p.key, { failed: f })
  }
}

function update(key: string, by: Partial<Pending>): void {
  pending.value = pending.value.map((x) => x.key === key ? { ...x, ...by } : x)
}

const heard = new Set<string>() // ids of own messages that were heard of lately

/** arrived is told that the daemon has a message of one's own. */
export function arrived(m: Message): void {
  heard.add(m.id)
  if (heard.size > 500) heard.delete(heard.values().next().value!)
  const p = pending.value.find((x) => x.id === m.id) ??
    pending.value.find((x) => !x.id && under.has(x.key) && x.conversation === m.conversation && x.text === m.text && x.files.length === 0)
  if (p) discard(p)
}
