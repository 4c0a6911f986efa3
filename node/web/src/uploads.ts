// Files on their way to the daemon, to be sent with a message.
import { signal } from "@preact/signals"
import { Failure, link } from "./rpc"
import { token } from "./session"
import { thumbnailOf } from "./thumbnail"
import type { Uploaded } from "./types"

/** most is how many files a message has at most. */
export const most = 16

const atOnce = 3
let running = 0
const queue: (() => void)[] = []

/** Upload is one file. It begins when somebody waits for it, and again after it
 * has failed. */
export class Upload {
  readonly sent = signal(0) // bytes that the daemon has
  readonly rate = signal(0) // bytes a second
  readonly done = signal<Uploaded | null>(null)
  readonly failed = signal<Failure | null>(null)
  private under: Promise<Uploaded> | null = null
  private request: XMLHttpRequest | null = null
  private over = false

  constructor(readonly file: Blob, readonly name: string, readonly voice: { duration: number; wave: string } | null = null) {}

  /** ready waits until the daemon has the file. */
  ready(): Promise<Uploaded> {
    if (this.done.value) return Promise.resolve(this.done.value)
    return this.under ??= this.run().finally(() => { this.under = null })
  }

  /** again forgets what the daemon doesn't have any more. */
  again(): void { this.done.value = null }

  /** drop gives the file up, here and there. */
  drop(): void {
    this.over = true
    this.request?.abort()
    const id = this.done.value?.id
    if (id) fetch(`/api/v1/files/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${token()}` } }).catch(() => {}) // it ends by itself
  }

  private async run(): Promise<Uploaded> {
    this.failed.value = null
    this.sent.value = 0
    if (running >= atOnce) await new Promise<void>((go) => queue.push(go))
    else running++
    try {
      const r = await this.post()
      const made = r.thumbnail || this.voice ? "" : await thumbnailOf(this.file, r.type)
      return this.done.value = made ? { ...r, thumbnail: made, shownBy: "page" } : r
    } catch (e) {
      const f = e instanceof Failure ? e : new Failure("internal", String(e))
      if (!this.over) this.failed.value = f
      throw f
    } finally {
      const next = queue.shift()
      if (next) next()
      else running--
    }
  }

  private post(): Promise<Uploaded> {
    return new Promise((yes, no) => {
      const away = () => no(new Failure("no_daemon", "Rushlight is not running"))
      if (this.over || link.value !== "up") return away()
      const x = this.request = new XMLHttpRequest()
      let at = Date.now(), before = 0
      x.upload.onprogress = (e) => {
        this.sent.value = e.loaded
        const d = (Date.now() - at) / 1000
        if (d < 0.3) return
        const now = (e.loaded - before) / d
        this.rate.value = this.rate.value ? 0.7 * this.rate.value + 0.3 * now : now
        at = Date.now()
        before = e.loaded
      }
      x.onerror = x.onabort = away
      x.onload = () => {
        try {
          const r = JSON.parse(x.responseText)
          if (x.status === 200) yes(r)
          else no(new Failure(r.error.code, r.error.message, r.error.hint))
        } catch { away() }
      }
      x.open("POST", `/api/v1/files?name=${encodeURIComponent(this.name)}`)
      x.setRequestHeader("Authorization", `Bearer ${token()}`)
      x.setRequestHeader("Content-Type", "application/octet-stream")
      x.send(this.file)
    })
  }
}
