// What files hold, for as long as it is shown. It comes from the daemon as bytes
// without a type; the types that a browser gets to know are the few of pictures
// and sound below, so nothing that others made is ever opened as a document.
import { useEffect, useState } from "preact/hooks"
import { Failure } from "./rpc"
import { token } from "./session"
import type { Attachment } from "./types"

const pictures = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"]

const sounds: Record<string, string> = {
  "audio/mpeg": "audio/mpeg", "audio/mp4": "audio/mp4", "audio/wave": "audio/wav", "audio/flac": "audio/flac", "application/ogg": "audio/ogg",
}

/** isPicture tells whether a file that is here is one to be shown. */
export const isPicture = (f: Attachment): boolean => f.state === "done" && pictures.includes(f.type)

/** soundType is what a player is told of a file that is here; "" for no sound. */
export function soundType(f: Attachment): string {
  if (f.state !== "done") return ""
  return sounds[f.type] ?? (f.voice && f.type === "video/webm" ? "audio/webm" : "")
}

/** content fetches a file of a message. */
export async function content(f: Attachment, signal?: AbortSignal): Promise<Blob> {
  const r = await fetch(`/api/v1/files/${f.id}`, { headers: { Authorization: `Bearer ${token()}` }, signal })
  if (r.ok) return r.blob()
  const { error: e } = await r.json()
  throw new Failure(e.code, e.message, e.hint)
}

/** useContent is the address of a file's content under a type, while what shows
 * it is there; "" until it has come, and without a type. */
export function useContent(f: Attachment, type: string): string {
  const [url, set] = useState("")
  useEffect(() => {
    if (!type) return
    const stop = new AbortController()
    let made = ""
    content(f, stop.signal).then((b) => {
      if (!stop.signal.aborted) set(made = URL.createObjectURL(b.slice(0, b.size, type)))
    }).catch(() => {}) // it ended, or comes when it is shown again
    return () => {
      stop.abort()
      set("")
      if (made) URL.revokeObjectURL(made)
    }
  }, [f.id, type])
  return url
}

/** Small is a little JPEG picture that came inside of a message. */
export interface Small { blob: Blob; width: number; height: number }

/** small reads one; null for what isn't one. */
export function small(base64: string | undefined): Small | null {
  if (!base64) return null
  const b = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  if (b[0] !== 0xff || b[1] !== 0xd8) return null
  for (let at = 2; at + 9 < b.length && b[at] === 0xff;) {
    const kind = b[at + 1]
    if (kind >= 0xc0 && kind <= 0xc2) {
      const width = b[at + 7] << 8 | b[at + 8], height = b[at + 5] << 8 | b[at + 6]
      return width && height ? { blob: new Blob([b], { type: "image/jpeg" }), width, height } : null
    }
    at += 2 + (b[at + 2] << 8 | b[at + 3])
  }
  return null
}

/** useSmall is one with its address. */
export function useSmall(base64: string | undefined): (Small & { url: string }) | null {
  const [s, set] = useState<(Small & { url: string }) | null>(null)
  useEffect(() => {
    const found = small(base64)
    if (!found) return
    const url = URL.createObjectURL(found.blob)
    set({ ...found, url })
    return () => URL.revokeObjectURL(url)
  }, [base64])
  return s
}

/** keep saves a file where the browser puts what is saved. */
export async function keep(f: Attachment): Promise<void> {
  const url = URL.createObjectURL(await content(f))
  const a = document.createElement("a")
  a.href = url
  a.download = f.saveAs
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000) // it has begun by then
}
