// Which part of a long list is in the document. Of every entry the height is
// known once it was shown, and estimated before; what is on the screen is held
// in its place by an anchor: an entry, and how far below the top it begins.

export interface Anchor { key: string; offset: number }

const estimate = 58
const reach = 700 // pixels above and below the screen that are there as well

export class Heights {
  private known = new Map<string, number>()
  of(key: string): number { return this.known.get(key) ?? estimate }
  set(key: string, h: number): void { this.known.set(key, h) }
  clear(): void { this.known.clear() }
  sum(keys: string[], from: number, to: number): number {
    let s = 0
    for (let i = from; i < to; i++) s += this.of(keys[i])
    return s
  }
}

/** at finds the entry at a distance from the top, as an anchor. */
export function at(keys: string[], heights: Heights, top: number): Anchor | null {
  let y = 0
  for (const key of keys) {
    const h = heights.of(key)
    if (y + h > top) return { key, offset: y - top }
    y += h
  }
  const last = keys.at(-1)
  return last === undefined ? null : { key: last, offset: y - heights.of(last) - top }
}

export interface Part { from: number; to: number }

/** around is the part to show when the anchor is where it says; no anchor means the end. */
export function around(keys: string[], heights: Heights, anchor: Anchor | null, screen: number): Part {
  let index = anchor ? keys.indexOf(anchor.key) : -1
  let y = anchor?.offset ?? 0
  if (index < 0) {
    index = keys.length
    y = screen
  }
  let from = index
  for (let up = y; from > 0 && up > -reach;) up -= heights.of(keys[--from])
  let to = index
  for (let down = y; to < keys.length && down < screen + reach;) down += heights.of(keys[to++])
  return { from, to }
}
