// Who one is, how the page looks, how the network is, and the lock.
import { h } from "preact"
import { useEffect } from "preact/hooks"
import { Ask, close, show } from "./dialog"
import { Icon } from "./icons"
import { languages, t } from "./lang"
import { words } from "./network"
import { tell, tried } from "./notice"
import { enterSends, theme, tongue } from "./prefs"
import { call } from "./rpc"
import { refreshStatus, self, status } from "./store"

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
          {s.why && <div><dt>{t("settings.why")}</dt><dd dir="auto">{s.why}</dd></div>}
          {s.clock.doubt && <div><dt>{t("settings.clock")}</dt><dd dir="auto">{s.clock.hint}</dd></div>}
          <div><dt>{t("settings.erasure")}</dt><dd>{t(`settings.erasure.${s.erasure.level}`)}</dd></div>
          <div><dt>{t("settings.version")}</dt><dd dir="ltr">{s.version}</dd></div>
        </dl>
      )}
    </section>
  )
}

function Locking() {
  const lock = () => { close(); tried(() => call("lock")) }
  return (
    <section>
      <h3>{t("lock.title")}</h3>
      <p>{t("lock.text")}</p>
      <div class="buttons start">
        <button type="button" onClick={() => show(t("lock.title"), <Ask text={t("lock.ask")} yes={t("lock.yes")} act={lock} />)}><Icon name="lock" />{t("lock.yes")}</button>
      </div>
    </section>
  )
}
