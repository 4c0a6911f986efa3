// How long messages live: from when they were sent, and from when they were read.
import { h } from "preact"
import { useState } from "preact/hooks"
import { close } from "./dialog"
import { t } from "./lang"
import { tried } from "./notice"
import { call } from "./rpc"
import { chats, refreshChats } from "./store"
import { seconds, span } from "./time"
import type { Timers } from "./types"

/** timerWords says timers in a few words; empty when there are none. */
export function timerWords(x: Timers, style: "long" | "narrow" = "long"): string {
  const parts: string[] = []
  if (x.expires) parts.push(style === "narrow" ? span(seconds(x.expires), style) : t("timers.expires.is", { time: span(seconds(x.expires)) }))
  if (x.burn) parts.push(style === "narrow" ? span(seconds(x.burn), style) : t("timers.burn.is", { time: span(seconds(x.burn)) }))
  return parts.join(t("comma"))
}

const expiries = ["5s", "30s", "5m", "1h", "8h", "1d", "1w", "4w", "26w", "52w"]
const burns = ["1s", "5s", "30s", "1m", "5m", "1h", "1d"]

function Choice({ name, label, about, value, list, set }: { name: string; label: string; about: string; value: string; list: string[]; set: (v: string) => void }) {
  const now = seconds(value)
  const known = now === 0 || list.some((x) => seconds(x) === now)
  return (
    <div class="field">
      <label for={name}>{label}</label>
      <select id={name} aria-describedby={`${name}-about`} value={now === 0 ? "off" : list.find((x) => seconds(x) === now) ?? value} onChange={(e) => set(e.currentTarget.value)}>
        <option value="off">{t("timers.off")}</option>
        {!known && <option value={value}>{span(now)}</option>}
        {list.map((x) => <option value={x}>{span(seconds(x))}</option>)}
      </select>
      <p id={`${name}-about`} class="quiet">{about}</p>
    </div>
  )
}

function Form({ now, save, yes }: { now: Timers; save: (x: Timers) => void; yes: string }) {
  const [expires, setExpires] = useState(now.expires ?? "off")
  const [burn, setBurn] = useState(now.burn ?? "off")
  const real = (s: string) => s === "off" ? null : s
  return (
    <form onSubmit={(e) => { e.preventDefault(); close(); save({ expires: real(expires), burn: real(burn) }) }}>
      <Choice name="expires" label={t("timers.expires")} about={t("timers.expires.about")} value={expires} list={expiries} set={setExpires} />
      <Choice name="burn" label={t("timers.burn")} about={t("timers.burn.about")} value={burn} list={burns} set={setBurn} />
      <div class="buttons">
        <button type="button" onClick={close}>{t("cancel")}</button>
        <button class="primary">{yes}</button>
      </div>
    </form>
  )
}

/** TimerForm sets the timers of a conversation, for both sides. */
export function TimerForm({ id }: { id: string }) {
  const now = chats.value.find((c) => c.id === id)?.timer ?? { expires: null, burn: null }
  const save = (x: Timers) => tried(async () => {
    await call("timer", { who: id, expires: x.expires ?? "off", burn: x.burn ?? "off" })
    await refreshChats()
  })
  return <div><p>{t("timers.text")}</p><Form now={now} save={save} yes={t("save")} /></div>
}

/** MessageTimer sets the timers of the next message alone. */
export function MessageTimer({ now, chosen }: { now: Timers; chosen: (x: Timers) => void }) {
  return <div><p>{t("timers.message.text")}</p><Form now={now} save={chosen} yes={t("timers.use")} /></div>
}
