// Suggestions while one writes: :name: gives an emoji, @ names somebody.
import { h } from "preact"
import { useState } from "preact/hooks"
import { find } from "./emoji"
import { t } from "./lang"
import { contacts, self } from "./store"
import { Name } from "./text"

interface One { show: string; put: string; name: string }

export interface Suggest { open: boolean; at: number; list: One[]; keydown(e: KeyboardEvent): boolean; choose(i: number): void }

export function useSuggestions(area: { current: HTMLTextAreaElement | null }, text: string, change: (text: string, caret: number) => void): Suggest {
  const [at, setAt] = useState(0)
  const [closed, setClosed] = useState("")
  const caret = area.current?.selectionEnd ?? text.length
  const word = /(?:^|\s)([:@][^\s:@]{0,30})$/.exec(text.slice(0, caret))?.[1] ?? ""
  const list = word && word !== closed ? suggestions(word) : []
  const index = Math.min(at, Math.max(0, list.length - 1))
  const choose = (i: number) => {
    const s = list[i]
    if (!s) return
    const from = caret - word.length
    change(text.slice(0, from) + s.put + " " + text.slice(caret), from + s.put.length + 1)
    setAt(0)
    area.current?.focus()
  }
  const keydown = (e: KeyboardEvent): boolean => {
    if (list.length === 0) return false
    switch (e.key) {
      case "ArrowDown": setAt((index + 1) % list.length); break
      case "ArrowUp": setAt((index - 1 + list.length) % list.length); break
      case "Tab":
      case "Enter": choose(index); break
      case "Escape": setClosed(word); break
      default: return false
    }
    e.preventDefault()
    return true
  }
  return { open: list.length > 0, at: index, list, keydown, choose }
}

function suggestions(word: string): One[] {
  const rest = word.slice(1).toLowerCase()
  if (word[0] === ":") {
    return rest.length < 2 ? [] : find(rest).slice(0, 6).map(([emoji, name]) => ({ show: emoji, put: emoji, name }))
  }
  const names = [...contacts.value.values()].filter((c) => c.state === "approved").map((c) => c.petname || c.name)
  if (self.value?.name) names.push(self.value.name)
  return names.filter((n) => n && n.toLowerCase().startsWith(rest)).slice(0, 6).map((n) => ({ show: "@", put: "@" + n, name: n }))
}

export function Suggestions({ of: s }: { of: Suggest }) {
  if (!s.open) return null
  return (
    <ul id="suggestions" role="listbox" class="suggestions" aria-label={t("suggestions")}>
      {s.list.map((x, i) => (
        <li id={`suggestion-${i}`} role="option" aria-selected={i === s.at} onPointerDown={(e) => { e.preventDefault(); s.choose(i) }}>
          <span aria-hidden="true">{x.show}</span><Name of={x.name} />
        </li>
      ))}
    </ul>
  )
}
