// Sound: what was recorded, and its player with the loudness drawn.
import { h } from "preact"
import { useRef, useState } from "preact/hooks"
import { keep, soundType, useContent } from "./content"
import { Icon } from "./icons"
import { t } from "./lang"
import { tried } from "./notice"
import { plain } from "./text"
import type { Attachment } from "./types"

/** minutes says a length of time as players do: 1:05. */
export function minutes(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`
}

/** loudness reads the bars that came with a recording. */
export function loudness(base64: string): number[] {
  return [...atob(base64)].map((c) => c.charCodeAt(0) / 255)
}

export function Wave({ bars, at }: { bars: number[]; at: number }) {
  return (
    <svg class="wave" viewBox={`0 0 ${bars.length * 4} 32`} preserveAspectRatio="none" aria-hidden="true">
      {bars.map((v, i) => {
        const tall = Math.max(2, v * 30)
        return <rect key={i} class={i / bars.length < at ? "past" : ""} x={i * 4} y={16 - tall / 2} width={2.6} height={tall} rx={1.3} />
      })}
    </svg>
  )
}

/** Player plays a sound that is here. */
export function Player({ file: f, tab }: { file: Attachment; tab: number }) {
  const url = useContent(f, soundType(f))
  return (
    <div class="player" data-file={f.id}>
      <Play url={url} bars={f.voice ? loudness(f.voice.wave) : []} length={f.voice ? f.voice.duration / 1000 : 0} name={f.voice ? t("voice.title") : plain(f.name)} tab={tab} />
      {f.voice && <button type="button" class="icon" tabIndex={tab} aria-label={t("files.save", { name: t("voice.title") })} title={t("save")} onClick={() => tried(() => keep(f))}><Icon name="save" /></button>}
    </div>
  )
}

/** Play is a button, how far it is, and how loud it is where that is known. */
export function Play({ url, bars, length, name, tab }: { url: string; bars: number[]; length: number; name: string; tab: number }) {
  const audio = useRef<HTMLAudioElement>(null)
  const [playing, play] = useState(false)
  const [at, move] = useState(0)
  const [measured, measure] = useState(0)
  const long = length || measured
  const turn = () => {
    const a = audio.current!
    if (a.paused) tried(() => a.play())
    else a.pause()
  }
  const label = t(playing ? "voice.pause" : "voice.play", { name })
  return (
    <div class="play">
      <audio ref={audio} src={url || undefined} preload="metadata" onPlay={() => play(true)} onPause={() => play(false)} onEnded={() => { play(false); move(0) }}
        onTimeUpdate={(e) => move(e.currentTarget.currentTime)} onDurationChange={(e) => { if (Number.isFinite(e.currentTarget.duration)) measure(e.currentTarget.duration) }} />
      <button type="button" class="icon" tabIndex={tab} disabled={!url} aria-label={label} title={label} onClick={turn}><Icon name={playing ? "pause" : "play"} /></button>
      <div class="along">
        {bars.length > 0 && <Wave bars={bars} at={long ? at / long : 0} />}
        <input type="range" tabIndex={tab} min={0} max={Math.max(long, 0.1)} step={0.1} value={at} aria-label={t("voice.at")} aria-valuetext={minutes(at)}
          onInput={(e) => { audio.current!.currentTime = Number(e.currentTarget.value) }} />
      </div>
      <span class="quiet" dir="ltr">{minutes(playing || at > 0 ? at : long)}</span>
    </div>
  )
}
