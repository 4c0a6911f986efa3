// Emoji by name, and a grid to choose from.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useRef, useState } from "preact/hooks"
import names from "./emoji.json"
import { close } from "./dialog"
import { t } from "./lang"

/** All there are to choose from: the emoji, and its names with spaces between. */
const all: [string, string][] = Object.entries(names)

/** The ones used last, in this tab. */
export const often = signal(["👍", "❤️", "😂", "😮", "😢", "🙏"])

export function used(emoji: string): void {
  often.value = [emoji, ...often.value.filter((e) => e !== emoji)].slice(0, 8)
}

/** find lists emoji of which a name begins with a word, better matches first. */
export function find(word: string): [string, string][] {
  const rank = (s: string) => {
    const list = s.split(" ")
    if (list.includes(word)) return 0
    if (list[0].startsWith(word)) return 1
    return list.some((x) => x.startsWith(word)) ? 2 : 3
  }
  return all.map((e) => ({ e, r: rank(e[1]) })).filter((x) => x.r < 3).sort((a, b) => a.r - b.r)
    .map(({ e: [emoji, s] }) => [emoji, s.split(" ").find((x) => x.startsWith(word)) ?? s.split(" ")[0]])
}

const named = new Map(all.flatMap(([emoji, s]) => s.split(" ").map((n) => [n, emoji] as const)).reverse())

/** byName puts emoji where a text has :name:, but not inside backquotes. */
export const byName = (text: string): string =>
  text.replace(/`[^`]*`|(^|[^\w:]):([a-z0-9_+-]+):(?![\w:])/g, (whole, before, name) => {
    const emoji = name && named.get(name)
    return emoji ? before + emoji : whole
  })

const columns = 8

export function EmojiGrid({ first = [], chosen }: { first?: string[]; chosen: (emoji: string) => void }) {
  const [words, setWords] = useState("")
  const grid = useRef<HTMLDivElement>(null)
  const word = words.trim().toLowerCase()
  const list = word ? find(word) : [...first.map((e): [string, string] => [e, names[e as keyof typeof names]?.split(" ")[0] ?? ""]), ...all.filter(([e]) => !first.includes(e))]
  const choose = (e: string) => { used(e); close(); chosen(e) }
  const move = (e: KeyboardEvent) => {
    const buttons = [...grid.current!.querySelectorAll("button")]
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement)
    const side = document.documentElement.dir === "rtl" ? -1 : 1
    const step: Record<string, number> = { ArrowRight: side, ArrowLeft: -side, ArrowDown: columns, ArrowUp: -columns }
    if (!(e.key in step)) return
    const to = buttons[at + step[e.key]]
    e.preventDefault()
    if (to) to.focus()
    else if (at + step[e.key] < 0) document.getElementById("emoji-search")?.focus()
  }
  return (
    <div class="emoji">
      <input
        id="emoji-search" type="search" data-first="" aria-label={t("emoji.search")} placeholder={t("emoji.search")} autocomplete="off" value={words}
        onInput={(e) => setWords(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") { e.preventDefault(); grid.current?.querySelector("button")?.focus() }
          if (e.key === "Enter" && word && list[0]) { e.preventDefault(); choose(list[0][0]) }
        }}
      />
      <div class="grid" ref={grid} onKeyDown={move} role="group" aria-label={t("emoji.title")}>
        {list.map(([emoji, s], i) => (
          <button type="button" key={emoji} tabIndex={i === 0 ? 0 : -1} aria-label={(s.split(" ")[0] || emoji).replaceAll("_", " ")} onClick={() => choose(emoji)}>{emoji}</button>
        ))}
      </div>
      {list.length === 0 && <p>{t("search.none")}</p>}
    </div>
  )
}
