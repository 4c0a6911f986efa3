// How this browser shows the page. None of it is about people or messages, so
// it may stay in the browser's storage.
import { effect, signal } from "@preact/signals"
import { languages, speak } from "./lang"

function kept(name: string, otherwise: string) {
  const s = signal(localStorage.getItem(name) ?? otherwise)
  effect(() => localStorage.setItem(name, s.value))
  addEventListener("storage", (e) => { if (e.key === name && e.newValue !== null) s.value = e.newValue }) // chosen in another tab
  return s
}

export const theme = kept("theme", "system")
export const tongue = kept("language", "")
export const enterSends = kept("enter", "send")

/** apply puts the choices into effect, now and whenever they change. */
export function apply(): void {
  effect(() => {
    const root = document.documentElement
    if (theme.value === "system") root.removeAttribute("data-theme")
    else root.setAttribute("data-theme", theme.value)
  })
  effect(() => {
    const wanted = tongue.value || navigator.languages.find((l) => l.split("-")[0] in languages) || "en"
    speak(wanted).catch(() => { tongue.value = "en" })
  })
}
