// Voice memos: recorded here, listened to if one likes, and sent as a file whose
// loudness is drawn before it is played.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { count, type Tally } from "./loudness"
import { Icon } from "./icons"
import { t } from "./lang"
import { tell } from "./notice"
import { Upload } from "./uploads"
import { minutes, Play, Wave } from "./voice"

/** longest is how much is recorded at most, in ms. */
const longest = 600_000
const bars = 64
const kinds: [string, string][] = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"], ["audio/mp4", "m4a"]]

interface Recording {
  who: string
  state: "running" | "done"
  began: number
  length: number // ms, once it is done
  tally: Tally
  url: string // of what was recorded, to listen to it
  blob: Blob | null
  kind: string
  recorder: MediaRecorder
  stream: MediaStream
  audio: AudioContext
  whenDone: (() => void)[]
}

const current = signal<Recording | null>(null)
const beat = signal(0) // moves while something is recorded

export const canRecord = (): boolean => !!navigator.mediaDevices && typeof MediaRecorder !== "undefined" && kinds.some(([k]) => MediaRecorder.isTypeSupported(k))

export const recordingFor = (who: string): boolean => current.value?.who === who

/** record begins a memo; the browser asks for the microphone. */
export async function record(who: string): Promise<void> {
  cancel()
  let stream: MediaStream
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true })
  } catch {
    tell(t("voice.denied"), true)
    return
  }
  const [mime, kind] = kinds.find(([k]) => MediaRecorder.isTypeSupported(k))!
  const audio = new AudioContext()
  const ear = audio.createAnalyser()
  ear.fftSize = 2048
  audio.createMediaStreamSource(stream).connect(ear)
  const recorder = new MediaRecorder(stream, { mimeType: mime, audioBitsPerSecond: 32_000 })
  const r: Recording = {
    who, state: "running", began: performance.now(), length: 0, url: "", blob: null, kind, recorder, stream, audio, whenDone: [], tally: count(),
  }
  const parts: Blob[] = []
  const heard = new Float32Array(ear.fftSize)
  const tick = setInterval(() => {
    ear.getFloatTimeDomainData(heard)
    r.tally.add(heard)
    beat.value++
    if (performance.now() - r.began >= longest) finish(r)
  }, 50)
  recorder.ondataavailable = (e) => { if (e.data.size > 0) parts.push(e.data) }
  recorder.onstop = () => {
    clearInterval(tick)
    for (const track of stream.getTracks()) track.stop()
    audio.close().catch(() => {})
    r.length = Math.min(longest, Math.round(performance.now() - r.began))
    r.state = "done"
    r.blob = new Blob(parts, { type: mime.split(";")[0] })
    if (current.value !== r) return // given up
    r.url = URL.createObjectURL(r.blob)
    beat.value++
    for (const f of r.whenDone) f()
  }
  recorder.start(1000)
  current.value = r
}

function finish(r: Recording): void {
  if (r.recorder.state !== "inactive") r.recorder.stop()
}

/** cancel throws away what was recorded. */
export function cancel(): void {
  const r = current.value
  current.value = null
  if (!r) return
  finish(r)
  if (r.url) URL.revokeObjectURL(r.url)
}

/** send hands the memo over, once all of it is there. */
function send(post: (u: Upload) => void): void {
  const r = current.value
  if (!r) return
  const go = () => {
    if (current.value !== r) return // it was sent, or thrown away
    const wave = btoa(String.fromCharCode(...r.tally.bars(bars)))
    post(new Upload(r.blob!, `voice.${r.kind}`, { duration: Math.max(1, r.length), wave }))
    cancel()
  }
  if (r.state === "done") return go()
  r.whenDone.push(go)
  finish(r)
}

/** Recorder is in the place of the composer while something is recorded. */
export function Recorder({ post }: { post: (u: Upload) => void }) {
  void beat.value
  const row = useRef<HTMLDivElement>(null)
  useEffect(() => {
    row.current?.querySelector<HTMLElement>(".send")?.focus()
    return cancel
  }, [])
  const r = current.value
  if (!r) return null
  const length = r.state === "done" ? r.length : performance.now() - r.began
  return (
    <div class="write recorder" ref={row} role="group" aria-label={t("voice.title")}>
      <button type="button" class="icon" aria-label={t("voice.discard")} title={t("voice.discard")} onClick={cancel}><Icon name="trash" /></button>
      {r.state === "done" ? <Play url={r.url} bars={[...r.tally.bars(bars)].map((x) => x / 255)} length={r.length / 1000} name={t("voice.title")} tab={0} /> : (
        <div class="live">
          <span class="lamp" aria-hidden="true" />
          <span class="unseen" role="status">{t("voice.running")}</span>
          <Wave bars={r.tally.last(bars).map((x) => x / 255)} at={1} />
          <span class="quiet" role="timer" dir="ltr">{minutes(length / 1000)}</span>
        </div>
      )}
      {r.state === "running" && <button type="button" class="icon" aria-label={t("voice.stop")} title={t("voice.stop")} onClick={() => finish(r)}><Icon name="stop" /></button>}
      <button type="button" class="icon send" aria-label={t("voice.send")} title={t("voice.send")} onClick={() => send(post)}><Icon name="send" /></button>
    </div>
  )
}
