// The messages of a conversation. However many there are, only those near the
// screen are in the document; what is read stays where it is while others come.
import { useSignalEffect } from "@preact/signals"
import { h } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import * as conversation from "./conversation"
import { Icon } from "./icons"
import { t } from "./lang"
import { actions, MessageItem, PendingItem } from "./message"
import { pending, type Pending } from "./outbox"
import { soon } from "./store"
import { count, sameDay } from "./time"
import type { Message } from "./types"
import { around, at, Heights, type Anchor } from "./window"

const endZone = 24 // pixels from the end that count as the end

type Entry = { key: string; m: Message; p?: undefined } | { key: string; m?: undefined; p: Pending }

export function MessageList({ with: who }: { with: string }) {
  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLOListElement>(null)
  const heights = useRef(new Heights()).current
  const anchor = useRef<Anchor | null>(null) // null: the end stays in view
  const top = useRef(0) // where it was scrolled to when that was looked at last
  const shown = useRef({ from: 0, to: 0 })
  const [, draw] = useState(0)
  const redraw = () => draw((n) => n + 1)
  const [active, setActive] = useState("")
  const [flash, setFlash] = useState("")
  const [away, setAway] = useState(false)
  const begun = useRef(false)
  const [told, setTold] = useState(false) // what comes from now on is new, and said

  const open = conversation.id.value === who
  const messages = open ? conversation.messages.value : []
  const entries: Entry[] = messages.map((m) => ({ key: m.id, m }))
  for (const p of pending.value) {
    if (p.conversation === who && !messages.some((m) => m.id === p.id)) entries.push({ key: p.key, p })
  }
  const keys = entries.map((e) => e.key)
  const divider = conversation.divider.value

  if (!begun.current && entries.length > 0) {
    begun.current = true
    if (divider) anchor.current = { key: divider, offset: 120 }
  }
  const screen = scroller.current?.clientHeight || 800
  // What comes before the first one that is loaded isn't known yet, and how it
  // looks goes by that: it isn't shown until it is.
  const first = conversation.complete.value || keys.length < 2 ? 0 : 1
  const near = (screen: number) => {
    const { from, to } = around(keys, heights, anchor.current, screen)
    return { from: Math.max(from, first), to: Math.max(to, first) }
  }
  const part = shown.current = near(screen)
  const above = heights.sum(keys, 0, part.from)
  const below = heights.sum(keys, part.to, keys.length)

  /** settle measures what is shown and puts the anchor where it belongs. */
  const settle = () => {
    const s = scroller.current!
    for (const li of list.current!.children as HTMLCollectionOf<HTMLElement>) {
      heights.set(li.dataset.key!, li.getBoundingClientRect().height)
    }
    const moved = s.scrollTop - top.current // by a person, and the event is still to come
    const end = s.scrollHeight - s.scrollTop - s.clientHeight < endZone // a window that grew moves it as well
    if (!anchor.current && moved < -endZone && !end) anchor.current = at(keys, heights, s.scrollTop)
    else if (anchor.current) anchor.current.offset -= moved
    const a = anchor.current
    if (a) {
      const li = item(a.key)
      if (li && Math.abs(place(s, li) - a.offset) > 0.5) s.scrollTop += place(s, li) - a.offset
      // What begins at the top isn't scrolled, and may still not show the end.
      if (s.scrollHeight - s.scrollTop - s.clientHeight >= endZone) setAway(true)
    } else s.scrollTop = s.scrollHeight
    top.current = s.scrollTop
  }
  const item = (key: string) => list.current?.querySelector<HTMLElement>(`:scope > [data-key="${key}"]`)

  useLayoutEffect(settle)
  const loaded = open && !conversation.loading.value
  useEffect(() => { if (loaded) setTold(true) }, [loaded])
  useEffect(() => {
    let width = scroller.current!.clientWidth
    const o = new ResizeObserver(() => {
      if (!scroller.current || !list.current) return
      if (scroller.current.clientWidth !== width) {
        width = scroller.current.clientWidth
        heights.clear()
      }
      settle()
      see()
    })
    o.observe(scroller.current!)
    o.observe(list.current!)
    const focused = () => see()
    addEventListener("focus", focused)
    document.addEventListener("visibilitychange", focused)
    return () => {
      o.disconnect()
      removeEventListener("focus", focused)
      document.removeEventListener("visibilitychange", focused)
    }
  }, [])

  const scrolled = () => {
    const s = scroller.current!
    top.current = s.scrollTop
    const end = s.scrollHeight - s.scrollTop - s.clientHeight < endZone
    anchor.current = end ? null : reading(s, list.current!) ?? at(keys, heights, s.scrollTop)
    setAway(!end)
    const next = near(s.clientHeight)
    const now = shown.current
    // A little movement needs nothing new.
    if (Math.abs(next.from - now.from) > 4 || Math.abs(next.to - now.to) > 4 || (next.from === first) !== (now.from === first) || (next.to === keys.length) !== (now.to === keys.length)) redraw()
    if (next.from < 40) conversation.older()
    see()
  }

  const see = useSeen(scroller, list)
  useEffect(() => { see() })
  useTimers(messages)

  useSignalEffect(() => {
    const to = conversation.target.value
    if (!to) return
    anchor.current = { key: to.id, offset: (scroller.current?.clientHeight ?? 600) / 3 }
    setActive(to.id)
    setFlash(to.id)
    setAway(true)
    redraw()
    requestAnimationFrame(() => {
      if (!scroller.current) return
      settle()
      item(to.id)?.focus({ preventScroll: true })
    })
    setTimeout(() => setFlash(""), 2000)
  })

  const keydown = (e: KeyboardEvent) => {
    const li = (e.target as HTMLElement).closest<HTMLElement>("li[data-key]")
    if (!li) return
    const to = e.key === "ArrowDown" ? li.nextElementSibling : e.key === "ArrowUp" ? li.previousElementSibling : null
    if (to instanceof HTMLElement) {
      e.preventDefault()
      to.focus({ preventScroll: true })
      to.scrollIntoView({ block: "nearest" })
    } else if (e.key === "End") {
      e.preventDefault()
      toEnd()
    } else if (e.target === li) {
      const m = messages.find((x) => x.id === li.dataset.key)
      if (m && actions(e, m, li)) e.preventDefault()
    }
  }
  const toEnd = () => {
    anchor.current = null
    setAway(false)
    setActive(keys.at(-1) ?? "")
    redraw()
  }

  const visible = entries.slice(part.from, part.to)
  const stop = visible.some((e) => e.key === active) ? active : visible.at(-1)?.key
  return (
    <div class="log-frame">
      <div
        class="log" ref={scroller} role="log" aria-live={told && !away ? "polite" : "off"} aria-relevant="additions"
        aria-label={t("thread.messages")} aria-busy={conversation.loading.value} onScroll={scrolled}
        tabIndex={entries.length === 0 ? 0 : undefined}
      >
        {open && conversation.complete.value && <p class="beginning">{t("thread.beginning")}</p>}
        <div style={{ height: `${above}px` }} />
        <ol ref={list} onKeyDown={keydown} onFocusCapture={(e) => {
          const key = (e.target as HTMLElement).closest<HTMLElement>("li[data-key]")?.dataset.key
          if (key) setActive(key)
        }}>
          {visible.map((e, i) => {
            const before = i > 0 ? visible[i - 1] : entries[part.from - 1]
            const tab = e.key === stop ? 0 : -1
            if (e.p) return <PendingItem key={e.key} of={e.p} tab={tab} />
            const m = e.m, last = before?.m
            const newDay = last ? !sameDay(last.sent, m.sent) : conversation.complete.value
            const follows = !newDay && !!last && last.from === m.from && last.kind === m.kind && m.id !== divider &&
              Date.parse(m.sent) - Date.parse(last.sent) < 5 * 60_000
            return <MessageItem key={e.key} of={m} tab={tab} newDay={newDay} divider={m.id === divider} follows={follows} flash={m.id === flash} />
          })}
        </ol>
        <div style={{ height: `${below}px` }} />
      </div>
      {away && <button type="button" class="to-end" aria-label={t("thread.end")} title={t("thread.end")} onClick={toEnd}><Icon name="down" /></button>}
    </div>
  )
}

/** place is how far below the top of the screen an element begins. */
const place = (s: HTMLElement, li: HTMLElement): number => li.getBoundingClientRect().top - s.getBoundingClientRect().top

/** reading is the first entry of which something is on the screen. */
function reading(s: HTMLElement, list: HTMLElement): Anchor | null {
  const top = s.getBoundingClientRect().top
  for (const li of list.children as HTMLCollectionOf<HTMLElement>) {
    const box = li.getBoundingClientRect()
    if (box.bottom > top && box.top < top + s.clientHeight) return { key: li.dataset.key!, offset: box.top - top }
  }
  return null
}

/** useSeen returns a function that tells the daemon what was on the screen. */
function useSeen(scroller: { current: HTMLElement | null }, list: { current: HTMLElement | null }) {
  const told = useRef("")
  return () => {
    if (document.hidden || !document.hasFocus() || !scroller.current || !list.current) return
    const bottom = scroller.current.getBoundingClientRect().bottom + 4
    const all = [...list.current.children] as HTMLElement[]
    const last = all.findLast((li) => li.getBoundingClientRect().bottom <= bottom && "message" in li.dataset)
    if (!last) return
    const messages = conversation.messages.peek()
    const at = messages.findIndex((m) => m.id === last.dataset.key)
    const news = messages.slice(0, at + 1).findLast((m) => !m.mine && m.state !== "read")
    if (!news || news.id === told.current) return
    told.current = news.id
    conversation.seen(messages[at].id).then(soon, () => { told.current = "" })
  }
}

const soonest = 3600_000 // before that nobody watches the seconds

/** useTimers keeps the clock moving while a message is about to go. */
function useTimers(messages: Message[]) {
  let next = Infinity
  for (const m of messages) next = Math.min(next, deadline(m))
  const near = next - Date.now() < soonest
  useEffect(() => {
    if (next === Infinity) return
    if (near) return count()
    const wait = setTimeout(() => { conversation.messages.value = [...conversation.messages.peek()] }, Math.min(next - Date.now() - soonest, 2 ** 31 - 1))
    return () => clearTimeout(wait)
  }, [near, near ? 0 : next])
}

/** deadline is when a message goes, in ms; Infinity for never. */
export function deadline(m: Message): number {
  return Math.min(m.expires ? Date.parse(m.expires) : Infinity, m.burnsAt ? Date.parse(m.burnsAt) : Infinity)
}
