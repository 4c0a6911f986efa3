// What is known about a contact, and how one wants the conversation with them.
import { h } from "preact"
import { close, show } from "./dialog"
import { Icon } from "./icons"
import { t } from "./lang"
import { failed, tried } from "./notice"
import { call } from "./rpc"
import { Avatar } from "./sidebar"
import { chats, contact, refreshChats, refreshContacts, shown } from "./store"
import { Name } from "./text"
import { timerWords } from "./timers"
import { Verify } from "./verify"

export function Person({ id }: { id: string }) {
  const k = contact(id)
  const chat = chats.value.find((c) => c.id === id)
  if (!k) return null
  const set = (what: object) => call("conversation", { who: id, ...what }).then(refreshChats).catch(failed)
  return (
    <div class="person">
      <div class="head"><Avatar id={id} name={shown(id)} class="large" /><p><Name class="name" of={shown(id)} /></p></div>
      <dl>
        {k.petname && k.name && <div><dt>{t("person.claims")}</dt><dd><Name of={k.name} /></dd></div>}
        <div><dt>{t("person.id")}</dt><dd><code dir="ltr">{id}</code></dd></div>
        {chat && <div><dt>{t("timers.title")}</dt><dd>{timerWords(chat.timer) || t("timers.off")}</dd></div>}
        <div><dt>{t("verify.title")}</dt><dd>{t(k.verified ? "verify.done" : "verify.not")}</dd></div>
      </dl>
      {k.state === "approved" && <div class="buttons start"><button type="button" onClick={() => show(() => t("verify.title"), <Verify id={id} />)}><Icon name="shield" />{t("verify.title")}</button></div>}
      {chat && (
        <fieldset>
          <legend>{t("person.tells")}</legend>
          <label class="check"><input type="checkbox" checked={chat.receipts} onChange={(e) => set({ receipts: e.currentTarget.checked })} /><span>{t("person.receipts")}</span></label>
          <label class="check"><input type="checkbox" checked={chat.typing} onChange={(e) => set({ typing: e.currentTarget.checked })} /><span>{t("person.typing")}</span></label>
        </fieldset>
      )}
    </div>
  )
}

/** Rename chooses what a contact is called here. */
export function Rename({ id }: { id: string }) {
  const k = contact(id)
  const save = async (e: SubmitEvent) => {
    e.preventDefault()
    const as = String(new FormData(e.currentTarget as HTMLFormElement).get("as")).trim()
    if (await tried(async () => {
      await call("rename", { who: id, as })
      await Promise.all([refreshContacts(), refreshChats()])
    })) close()
  }
  return (
    <form onSubmit={save}>
      <div class="field"><label for="petname">{t("rename.label")}</label>
        <input id="petname" name="as" dir="auto" data-first="" value={k?.petname ?? ""} placeholder={k?.name} maxLength={64} autocomplete="off" aria-describedby="petname-about" />
        <p id="petname-about" class="quiet">{t("rename.text")}</p></div>
      <div class="buttons"><button type="button" onClick={close}>{t("cancel")}</button><button class="primary">{t("save")}</button></div>
    </form>
  )
}
