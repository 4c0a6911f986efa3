// Previews of links: looked up by the daemon before a message is sent, shown, and
// left out if one likes. Who receives one contacts nobody.
import { h } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { useSmall } from "./content"
import { Icon } from "./icons"
import { t } from "./lang"
import { call } from "./rpc"
import { plain } from "./text"
import type { Preview } from "./types"

/** link is the first one in a text that is complete: a space follows it, or it
 * was pasted as it is. Nothing is asked for while one is being typed. */
function link(text: string, pasted: string): string {
  for (const m of text.matchAll(/\bhttps:\/\/\S+/g)) {
    const found = m[0].replace(/[.,;:!?)\]}>"'»”’]+$/, "")
    const ended = m.index! + m[0].length < text.length
    if (found.length > 8 && (ended || pasted.includes(m[0]))) return found
  }
  return ""
}

export interface Looking {
  preview: Preview | null
  looking: boolean
  /** remove leaves the preview of this link out. */
  remove(): void
  /** pasted says what was put in at once. */
  pasted(text: string): void
}

/** usePreview looks up the link of a text, once. */
export function usePreview(text: string): Looking {
  const known = useRef(new Map<string, Preview | null>()).current // null: none, or not wanted
  const pasted = useRef("")
  const [, draw] = useState(0)
  if (!text) { // it was sent, or begun anew
    pasted.current = ""
    known.clear()
  }
  const now = link(text, pasted.current)
  useEffect(() => {
    if (!now || known.has(now)) return
    let alive = true
    call<Preview>("preview", { url: now }).then((p) => ({ ...p, url: now }), () => null).then((p) => {
      if (!known.has(now)) known.set(now, p)
      if (alive) draw((n) => n + 1)
    })
    return () => { alive = false }
  }, [now])
  return {
    preview: known.get(now) ?? null,
    looking: now !== "" && !known.has(now),
    remove: () => {
      known.set(now, null)
      draw((n) => n + 1)
    },
    pasted: (s) => { pasted.current += `\n${s}` },
  }
}

/** Card is a preview; its host is that of the link itself. */
export function Card({ of: p, tab, remove }: { of: Preview; tab?: number; remove?: () => void }) {
  const picture = useSmall(p.image)
  const inside = [
    picture && <img src={picture.url} alt="" />,
    <span class="words">
      {p.title && <bdi class="name">{plain(p.title)}</bdi>}
      {p.description && <bdi class="more">{plain(p.description)}</bdi>}
      <bdi class="quiet" dir="ltr">{plain(p.host)}</bdi>
    </span>,
  ]
  if (remove) {
    return (
      <div class="card" role="group" aria-label={t("preview.title")}>
        {inside}
        <button type="button" class="icon" aria-label={t("preview.remove")} title={t("preview.remove")} onClick={remove}><Icon name="close" /></button>
      </div>
    )
  }
  if (!safe(p.url)) return <div class="card">{inside}</div>
  return <a class="card" href={p.url} target="_blank" rel="noopener noreferrer nofollow" tabIndex={tab}>{inside}</a>
}

function safe(url: string): boolean {
  try {
    return new URL(url).protocol === "https:"
  } catch {
    return false
  }
}
