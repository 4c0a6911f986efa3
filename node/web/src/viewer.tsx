// Pictures in their own size, one after the other.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useEffect } from "preact/hooks"
import { isPicture, keep, useContent } from "./content"
import * as conversation from "./conversation"
import { close, show } from "./dialog"
import { Icon } from "./icons"
import { t } from "./lang"
import { tried } from "./notice"
import { shown } from "./store"
import { Name, plain } from "./text"
import { whole } from "./time"
import type { Attachment, Message } from "./types"

const at = signal("")

/** view shows a picture of the conversation that is open. */
export function view(file: string): void {
  at.value = file
  show(() => t("viewer.title"), <Viewer />, "viewer")
}

interface One { m: Message; f: Attachment }

function Viewer() {
  const all: One[] = conversation.messages.value.flatMap((m) => m.files.filter(isPicture).map((f) => ({ m, f })))
  const n = all.findIndex((x) => x.f.id === at.value)
  const gone = n < 0
  useEffect(() => { if (gone) close() }, [gone]) // its message has ended
  if (gone) return null
  const go = (by: number) => { if (all[n + by]) at.value = all[n + by].f.id }
  const keydown = (e: KeyboardEvent) => {
    const forth = getComputedStyle(document.documentElement).direction === "rtl" ? "ArrowLeft" : "ArrowRight"
    const to: Record<string, number> = { ArrowRight: forth === "ArrowRight" ? 1 : -1, ArrowLeft: forth === "ArrowLeft" ? 1 : -1, Home: -n, End: all.length - 1 - n }
    if (!(e.key in to)) return
    e.preventDefault()
    go(to[e.key])
  }
  return (
    <div class="view" onKeyDown={keydown}>
      <Shot key={all[n].f.id} of={all[n].f} />
      <div class="bar">
        <button type="button" class="icon" aria-label={t("viewer.before")} title={t("viewer.before")} aria-disabled={n === 0} onClick={() => go(-1)}><Icon name="back" /></button>
        <p role="status"><Name of={all[n].f.name} class="name" /> <span class="quiet"><Name of={all[n].m.mine ? t("you") : shown(all[n].m.from)} />{t("comma")}{whole(all[n].m.sent)}{t("comma")}{t("viewer.of", { n: n + 1, of: all.length })}</span></p>
        <button type="button" class="icon" aria-label={t("files.save", { name: plain(all[n].f.name) })} title={t("save")} onClick={() => tried(() => keep(all[n].f))}><Icon name="save" /></button>
        <button type="button" class="icon" data-first="" aria-label={t("viewer.after")} title={t("viewer.after")} aria-disabled={n === all.length - 1} onClick={() => go(1)}><Icon name="next" /></button>
      </div>
    </div>
  )
}

function Shot({ of: f }: { of: Attachment }) {
  const url = useContent(f, f.type)
  return <div class="stage">{url ? <img src={url} alt={plain(f.name)} /> : <p role="status">{t("loading")}</p>}</div>
}
