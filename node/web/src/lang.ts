// What the page says, in the language of whoever reads it. English is part of
// the script; another catalogue is fetched when it is chosen.
import { signal } from "@preact/signals"
import english from "../lang/en.json"

export const languages: Record<string, string> = { en: "English", ar: "العربية" }
const rightToLeft = ["ar", "he", "fa", "ur"]

type Catalogue = Record<string, string>
const catalogue = signal<Catalogue>(english)
const fetched = new Map<string, Catalogue>([["en", english]])
export const language = signal("en")

/** t says key; a number n also chooses among the plural forms key.one, key.other … */
export function t(key: string, args: Record<string, string | number> = {}): string {
  const from = catalogue.value
  let text = from[key]
  if (text === undefined && typeof args.n === "number") {
    const form = new Intl.PluralRules(language.value).select(args.n)
    text = from[`${key}.${form}`] ?? from[`${key}.other`]
  }
  text ??= (english as Catalogue)[key] ?? key
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const v = args[name]
    return typeof v === "number" ? new Intl.NumberFormat(language.value).format(v) : String(v ?? "")
  })
}

/** speak changes the language, as far as there is a catalogue of it. */
export async function speak(tag: string): Promise<void> {
  const code = tag.toLowerCase().split("-")[0]
  if (!(code in languages)) return
  let c = fetched.get(code)
  if (!c) {
    const got = await fetch(`/lang/${code}.json`)
    if (!got.ok) return
    fetched.set(code, c = await got.json() as Catalogue)
  }
  catalogue.value = c
  language.value = code
  document.documentElement.lang = code
  document.documentElement.dir = rightToLeft.includes(code) ? "rtl" : "ltr"
}
