// Times as people say them, and the clock that counts timers down.
import { effect, signal } from "@preact/signals"
import { language, t } from "./lang"

/** The present in ms. It moves once a second while somebody counts, else not. */
export const now = signal(Date.now())

let counters = 0
let tick: ReturnType<typeof setInterval> | undefined

/** count keeps the clock moving until what it returns is called. */
export function count(): () => void {
  now.value = Date.now()
  if (counters++ === 0) tick = setInterval(() => { now.value = Date.now() }, 1000)
  return () => { if (--counters === 0) clearInterval(tick) }
}

const formats = new Map<string, Intl.DateTimeFormat>()
effect(() => { void language.value; formats.clear() })

function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const tag = language.value // read in any case, so that what shows a time follows the language
  let f = formats.get(name)
  if (!f) formats.set(name, f = new Intl.DateTimeFormat(tag, options))
  return f
}

export const clock = (at: string): string => format("clock", { hour: "2-digit", minute: "2-digit" }).format(new Date(at))

export const whole = (at: string): string => format("whole", { dateStyle: "full", timeStyle: "short" }).format(new Date(at))

const midnight = (d: Date): number => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime()

/** day says which day it was: today, yesterday, or the date. */
export function day(at: string): string {
  const d = new Date(at)
  const ago = Math.round((midnight(new Date()) - midnight(d)) / 86_400_000)
  if (ago === 0) return t("time.today")
  if (ago === 1) return t("time.yesterday")
  if (ago > 1 && ago < 7) return format("weekday", { weekday: "long" }).format(d)
  const thisYear = d.getFullYear() === new Date().getFullYear()
  return thisYear ? format("date", { day: "numeric", month: "long" }).format(d) : format("full", { dateStyle: "long" }).format(d)
}

export const sameDay = (a: string, b: string): boolean => new Date(a).toDateString() === new Date(b).toDateString()

/** short is for a list: the time today, else the day. */
export const short = (at: string): string => sameDay(at, new Date().toISOString()) ? clock(at) : day(at)

const units: [string, number][] = [["week", 604_800], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]]

/** span says a number of seconds in its largest unit: 5 min. */
export function span(seconds: number, style: "long" | "narrow" = "long"): string {
  const s = Math.max(0, Math.ceil(seconds))
  for (const [unit, size] of units) {
    if (s >= size || size === 1) {
      const n = size === 1 ? s : Math.round(s / size)
      return new Intl.NumberFormat(language.value, { style: "unit", unit, unitDisplay: style }).format(n)
    }
  }
  return ""
}

/** seconds reads a duration as the daemon writes it: 30s, 1h30m, 7d. */
export function seconds(d: string | null | undefined): number {
  const sizes: Record<string, number> = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 }
  let sum = 0
  for (const [, n, unit] of (d ?? "").matchAll(/([\d.]+)([wdhms])/g)) sum += Number(n) * sizes[unit]
  return sum
}

/** bytes says a size: 1.4 MB. */
export function bytes(n: number): string {
  let unit = 0
  const names = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]
  while (n >= 1000 && unit < names.length - 1) {
    n /= 1000
    unit++
  }
  return new Intl.NumberFormat(language.value, { style: "unit", unit: names[unit], unitDisplay: unit ? "short" : "long", maximumFractionDigits: n < 10 && unit ? 1 : 0 }).format(n)
}
