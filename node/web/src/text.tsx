// Text of people as nodes: never as HTML, and never trusted about direction.
import { Fragment, h, type ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import { t } from "./lang"
import type { Mention, Style } from "./types"

/** plain takes what turns the direction of text, or can't be seen, out of a name. */
export const plain = (s: string): string =>
  s.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, "\ufffd")

/** Name shows a name that somebody chose, apart from the text around it. */
export function Name({ of, class: c }: { of: string; class?: string }) {
  return <bdi class={c}>{plain(of)}</bdi>
}

interface Range { start: number; end: number; wrap: (c: ComponentChildren, key: number) => ComponentChildren }

/** Body is the text of a message with its styles and mentions. */
export function Body({ text, styles, mentions, me }: { text: string; styles: Style[]; mentions: Mention[]; me?: string }) {
  const ranges: Range[] = [
    ...styles.map((s) => ({ start: s.start, end: s.start + s.length, wrap: wrapper(s.style) })),
    ...mentions.map((m) => ({
      start: m.start, end: m.start + m.length,
      wrap: (c: ComponentChildren, key: number) => <span key={key} class={m.account === me ? "mention me" : "mention"}>{c}</span>,
    })),
  ].filter((r) => r.start < r.end && r.end <= text.length).sort((a, b) => a.start - b.start || b.end - a.end)
  return <>{nest(text, 0, text.length, ranges)}</>
}

/** nest wraps what ranges say, a range inside another one inside it; of two
 * that cross, the later one is cut where the earlier one ends. */
function nest(text: string, from: number, to: number, ranges: Range[]): ComponentChildren[] {
  const out: ComponentChildren[] = []
  let at = from
  for (let i = 0; i < ranges.length;) {
    const r = ranges[i++]
    const end = Math.min(r.end, to)
    if (r.start < at || r.start >= end) continue
    const inner: Range[] = []
    while (i < ranges.length && ranges[i].start < end) inner.push(ranges[i++])
    if (r.start > at) out.push(text.slice(at, r.start))
    out.push(r.wrap(nest(text, r.start, end, inner), r.start))
    at = end
  }
  if (at < to) out.push(text.slice(at, to))
  return out
}

function wrapper(style: string): Range["wrap"] {
  switch (style) {
    case "bold": return (c, key) => <strong key={key}>{c}</strong>
    case "italic": return (c, key) => <em key={key}>{c}</em>
    case "strikethrough": return (c, key) => <s key={key}>{c}</s>
    case "monospace": return (c, key) => <code key={key}>{c}</code>
    case "spoiler": return (c, key) => <Spoiler key={key}>{c}</Spoiler>
  }
  return (c, key) => <span key={key}>{c}</span>
}

function Spoiler({ children }: { children?: ComponentChildren }) {
  const [shown, show] = useState(false)
  if (shown) return <span class="spoiler shown">{children}</span>
  return <button type="button" class="spoiler" onClick={() => show(true)}>{t("message.spoiler")}</button>
}

const marks: Record<string, string> = { bold: "**", italic: "*", strikethrough: "~~", monospace: "`", spoiler: "||" }

/** marked writes a text with its styles as it is typed, to be edited. */
export function marked(text: string, styles: Style[]): string {
  const known = styles.filter((s) => marks[s.style]).sort((a, b) => a.length - b.length)
  const code = (i: number) => known.some((s) => s.style === "monospace" && i >= s.start && i < s.start + s.length)
  let out = ""
  for (let i = 0; i <= text.length; i++) {
    for (const s of known) if (s.start + s.length === i) out += marks[s.style]
    for (const s of known.toReversed()) if (s.start === i) out += marks[s.style]
    if (!code(i) && /^(\*|_|`|~~|\|\|)/.test(text.slice(i))) out += "\\"
    out += text[i] ?? ""
  }
  return out
}
