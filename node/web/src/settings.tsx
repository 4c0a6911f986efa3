// Who one is, how the page looks, how the network is, and the lock.
import { h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Ask, close, show } from "./dialog"
import { Icon } from "./icons"
import { languages, t } from "./lang"
import { words } from "./network"
import { tell, tried } from "./notice"
import { enterSends, theme, tongue } from "./prefs"
import { call } from "./rpc"
import { refreshStatus, self, status } from "./store"
import { seconds, span } from "./time"
import type { Choices } from "./types"

export function Settings({ at }: { at?: string }) {
  useEffect(() => { refreshStatus() }, [])
  return (
    <div class="settings">
      {at === "network" ? [<Network />, <You />, <Look />] : [<You />, <Look />, <Network />]}
      <Locking />
    </div>
  )
}

function You() {
  const me = self.value
  if (!me) return null
  const copy = () => tried(async () => { await navigator.clipboard.writeText(me.account); tell(t("copied")) })
  return (
    <section>
      <h3>{t("settings.you")}</h3>
      <NameField />
      <dl>
        <div><dt>{t("person.id")}</dt><dd><code dir="ltr">{me.account}</code></dd></div>
        <div><dt>{t("settings.fingerprint")}</dt><dd><code dir="ltr">{me.fingerprint}</code></dd></div>
      </dl>
      <div class="buttons start"><button type="button" onClick={copy}><Icon name="copy" />{t("settings.copy")}</button></div>
    </section>
  )
}

/** saveName changes the name that contacts see until they choose one. */
export async function saveName(name: string): Promise<boolean> {
  return tried(async () => { self.value = await call("setName", { name }) })
}

export function NameField() {
  const save = async (e: SubmitEvent) => {
    e.preventDefault()
    const name = String(new FormData(e.currentTarget as HTMLFormElement).get("name")).trim()
    if (await saveName(name)) tell(t("saved"))
  }
  return (
    <form onSubmit={save} class="inline">
      <div class="field"><label for="own-name">{t("settings.name")}</label>
        <input id="own-name" name="name" dir="auto" value={self.value?.name} maxLength={64} required autocomplete="off" /></div>
      <button>{t("save")}</button>
    </form>
  )
}

function Look() {
  return (
    <section>
      <h3>{t("settings.look")}</h3>
      <div class="fields">
        <div class="field"><label for="theme">{t("settings.theme")}</label>
          <select id="theme" value={theme.value} onChange={(e) => { theme.value = e.currentTarget.value }}>
            {["system", "light", "dark"].map((x) => <option value={x}>{t(`settings.theme.${x}`)}</option>)}
          </select></div>
        <div class="field"><label for="language">{t("settings.language")}</label>
          <select id="language" value={tongue.value} onChange={(e) => { tongue.value = e.currentTarget.value }}>
            <option value="">{t("settings.language.system")}</option>
            {Object.entries(languages).map(([code, name]) => <option value={code} lang={code}>{name}</option>)}
          </select></div>
        <div class="field"><label for="enter">{t("settings.enter")}</label>
          <select id="enter" value={enterSends.value} onChange={(e) => { enterSends.value = e.currentTarget.value }}>
            <option value="send">{t("settings.enter.send")}</option>
            <option value="line">{t("settings.enter.line")}</option>
          </select></div>
      </div>
    </section>
  )
}

function Network() {
  const s = status.value
  return (
    <section>
      <h3>{t("settings.network")}</h3>
      <p>{words()}</p>
      {s && (
        <dl>
          {s.outbox > 0 && <div><dt>{t("settings.outbox")}</dt><dd>{t("settings.outbox.n", { n: s.outbox })}</dd></div>}
          {s.whyCode && <div><dt>{t("settings.why")}</dt><dd>{t(`why.${s.whyCode}`)}</dd></div>}
          {s.clock.doubt && <div><dt>{t("settings.clock")}</dt><dd>{t("settings.clock.doubt")}{" "}
            <button type="button" onClick={() => tried(async () => { await call("confirmClock"); await refreshStatus() })}>{t("settings.clock.right")}</button></dd></div>}
          <div><dt>{t("settings.erasure")}</dt><dd>{t(`settings.erasure.${s.erasure.level}`)}</dd></div>
          <div><dt>{t("settings.version")}</dt><dd dir="ltr">{s.version}</dd></div>
        </dl>
      )}
    </section>
  )
}

const notices = ["plain", "content", "off"]
const idle = ["1m", "5m", "15m", "30m", "1h", "4h", "1d"]

/** Locking is when this profile locks itself, and what the desktop is told. */
function Locking() {
  const [now, setNow] = useState<Choices | null>(null)
  const set = (what: object) => tried(async () => {
    setNow(await call<Choices>("settings", what))
    if (Object.keys(what).length > 0) tell(t("saved"))
  })
  useEffect(() => { set({}) }, [])
  const lock = () => { close(); tried(() => call("lock")) }
  const fixed = (name: string) => now !== null && now.fixed.includes(name)
  const times = now && now.lockAfter !== "off" && !idle.includes(now.lockAfter) ? [...idle, now.lockAfter] : idle
  return (
    <section>
      <h3>{t("settings.device")}</h3>
      {now && (
        <div class="fields">
          <div class="field"><label for="notify">{t("settings.notify")}</label>
            <select id="notify" value={now.notify} disabled={fixed("notify")} aria-describedby={fixed("notify") ? "fixed" : undefined} onChange={(e) => set({ notify: e.currentTarget.value })}>
              {notices.map((x) => <option value={x} selected={x === now.notify}>{t(`settings.notify.${x}`)}</option>)}
            </select></div>
          <div class="field"><label for="lock-after">{t("settings.lock")}</label>
            <select id="lock-after" value={now.lockAfter} disabled={fixed("lockAfter")} aria-describedby={fixed("lockAfter") ? "fixed" : undefined} onChange={(e) => set({ lockAfter: e.currentTarget.value })}>
              <option value="off" selected={now.lockAfter === "off"}>{t("settings.lock.never")}</option>
              {times.map((x) => <option value={x} selected={x === now.lockAfter}>{t("settings.lock.after", { time: span(seconds(x)) })}</option>)}
            </select></div>
        </div>
      )}
      {now && <label class="check"><input type="checkbox" id="previews" checked={now.previews} onChange={(e) => set({ previews: e.currentTarget.checked })} />{t("settings.previews")}</label>}
      {now && now.fixed.length > 0 && <p id="fixed" class="quiet">{t("settings.fixed")}</p>}
      <p>{t("lock.text")}</p>
      <div class="buttons start">
        <button type="button" onClick={() => show(() => t("lock.title"), () => <Ask text={t("lock.ask")} yes={t("lock.yes")} act={lock} />)}><Icon name="lock" />{t("lock.yes")}</button>
      </div>
    </section>
  )
}
