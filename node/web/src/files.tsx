// The files of a message: pictures, sound and everything else, how far they have
// come, and what can be done with them.
import { h } from "preact"
import { Ask, show } from "./dialog"
import { isPicture, keep, soundType, useContent, useSmall } from "./content"
import { Icon } from "./icons"
import { t } from "./lang"
import { tried } from "./notice"
import { call } from "./rpc"
import { Name, plain } from "./text"
import { bytes, span } from "./time"
import { cancel, resume, transfer } from "./transfers"
import type { Attachment, Message } from "./types"
import { view } from "./viewer"
import { Player } from "./voice"

export function Files({ of: m, tab }: { of: Message; tab: number }) {
  return (
    <ul class="files">
      {m.files.map((f, i) => <li key={f.id}><One of={m} nth={i} file={f} tab={tab} /></li>)}
    </ul>
  )
}

interface Props { of: Message; nth: number; file: Attachment; tab: number }

function One(p: Props) {
  const f = p.file
  if (f.claimed && f.state === "done" && !isPicture(f)) return <Chip {...p} />
  if (isPicture(f) || f.thumbnail && f.state !== "done") return <Picture {...p} />
  if (soundType(f) || f.voice) return <Sound {...p} />
  return <Chip {...p} />
}

const large = 16 << 20 // bytes; above that the small picture does in a message

function Picture({ of: m, nth, file: f, tab }: Props) {
  const little = useSmall(f.thumbnail)
  const whole = useContent(f, isPicture(f) && f.size < large ? f.type : "")
  const ratio = little ? little.width / little.height : 4 / 3
  const src = whole || little?.url
  const style = { aspectRatio: `${Math.min(3, Math.max(0.5, ratio))}`, inlineSize: `${Math.round(Math.min(300, 340 * Math.max(0.5, ratio)))}px` }
  return (
    <div class="picture">
      <button type="button" class="shot" tabIndex={tab} style={style} disabled={!isPicture(f)} data-file={f.id}
        aria-label={t("files.open", { name: plain(f.name) })} onClick={() => view(f.id)}>
        {src && <img src={src} alt="" />}
      </button>
      <Way of={m} nth={nth} file={f} tab={tab} />
    </div>
  )
}

function Sound(p: Props) {
  const f = p.file
  return (
    <div class="sound">
      {f.state === "done" ? <Player file={f} tab={p.tab} /> : <Chip {...p} />}
      {f.state === "done" && !f.voice && <Chip {...p} />}
    </div>
  )
}

function Chip({ of: m, nth, file: f, tab }: Props) {
  const little = useSmall(f.claimed ? "" : f.thumbnail) // of a film, or a picture that isn't shown here
  return (
    <div class="chip" data-file={f.id}>
      {little ? <img src={little.url} alt="" /> : <Icon name="file" />}
      <div class="about-file">
        <Name of={f.name} class="name" />
        <span class="quiet"><bdi dir="ltr">{bytes(f.size)}</bdi> <bdi dir="ltr">{f.type}</bdi></span>
        {f.state === "done" && f.saveAs !== f.name && <span class="quiet">{t("files.as")} <Name of={f.saveAs} /></span>}
        {f.claimed && f.state === "done" && <span class="bad"><Icon name="warning" class="small" />{t("files.false", { claimed: plain(f.claimed), type: plain(f.type) })}</span>}
        <Way of={m} nth={nth} file={f} tab={tab} />
      </div>
      {f.state === "done" && <button type="button" class="icon" tabIndex={tab} aria-label={t("files.save", { name: plain(f.name) })} title={t("files.save", { name: plain(f.name) })} onClick={() => tried(() => keep(f))}><Icon name="save" /></button>}
    </div>
  )
}

/** stop takes a message back whose files are on their way: there is no other way
 * to keep the rest of them from those who have the message. */
function stop(m: Message): void {
  show(() => t("files.stop.title"), () => <Ask text={t("files.stop.text")} yes={t("files.stop.yes")} bad act={() => tried(() => call("unsend", { id: m.id }))} />)
}

/** Way is how far a file has come, and what to do about it. */
function Way({ of: m, nth, file: f, tab }: Props) {
  const x = transfer(m, nth)
  const name = plain(f.name)
  if (m.mine) {
    const running = x?.state === "running"
    if (!running && m.state !== "queued" && m.state !== "stored") return null
    return (
      <div class="way">
        {running ? <Progress have={x.have} size={x.size} rate={x.rate} left={x.left} label={t("files.going", { name })} />
          : <span class="quiet">{t("files.waiting")}</span>}
        <button type="button" class="icon" tabIndex={tab} aria-label={t("files.stop", { name })} title={t("files.stop", { name })} onClick={() => stop(m)}><Icon name="close" /></button>
      </div>
    )
  }
  if (f.state === "done") return null
  if (f.state === "failed") return <p class="bad">{t("files.failed")}</p>
  const state = x?.state ?? f.state
  if (state === "cancelled" || state === "left") {
    const label = t(state === "left" ? "files.fetch" : "files.resume", { name })
    return (
      <p class="way"><span class="quiet">{t(state === "left" ? "files.left" : "files.cancelled")}</span>
        <button type="button" tabIndex={tab} aria-label={label} onClick={() => tried(() => resume(m, nth))}>{t(state === "left" ? "files.fetch.short" : "files.resume.short")}</button></p>
    )
  }
  return (
    <div class="way">
      {state === "running" && x ? <Progress have={x.have} size={x.size} rate={x.rate} left={x.left} label={t("files.coming", { name })} />
        : <span class="quiet">{t("files.waiting")}</span>}
      <button type="button" class="icon" tabIndex={tab} aria-label={t("files.cancel", { name })} title={t("files.cancel", { name })} onClick={() => tried(() => cancel(m, nth))}><Icon name="close" /></button>
    </div>
  )
}

/** Progress is how far, how fast, and for how long still. */
export function Progress({ have, size, rate, left, label }: { have: number; size: number; rate: number; left?: number; label: string }) {
  const rest = left || (rate > 1 ? (size - have) / rate : 0)
  const words = [t("files.of", { have: bytes(have), size: bytes(size) })]
  if (rate > 1) words.push(t("files.rate", { rate: bytes(rate) }))
  if (rate > 1 && rest > 0) words.push(t("files.rest", { time: span(rest) }))
  return (
    <span class="progress">
      <progress value={have} max={size || 1} aria-label={label} />
      <span class="quiet">{words.join(t("comma"))}</span>
    </span>
  )
}
