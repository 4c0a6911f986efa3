// The page as it is most of the time: the conversations beside the one that is
// open. On a narrow screen only one of the two is there.
import { h } from "preact"
import { AddForm, InviteForm } from "./invite"
import { show } from "./dialog"
import { Flame } from "./icons"
import { t } from "./lang"
import { Requests } from "./requests"
import { Sidebar } from "./sidebar"
import { chats, current } from "./store"
import { Thread } from "./thread"

export function Shell() {
  const id = current.value
  return (
    <div class={["shell", id && "open", chats.value.length === 0 && "empty"].filter(Boolean).join(" ")}>
      <a class="skip" href="#main">{t("skip")}</a>
      <Sidebar />
      <main id="main" tabIndex={-1} aria-label={t("main")}>
        <h1 class="unseen">Rushlight</h1>
        {id === "requests" ? <Requests /> : id ? <Thread key={id} with={id} /> : <Nobody />}
      </main>
    </div>
  )
}

/** Nobody is shown while no conversation is open. */
function Nobody() {
  const empty = chats.value.length === 0
  return (
    <div class="nobody">
      <Flame class="big" />
      <h2>{t(empty ? "nobody.title" : "nobody.choose")}</h2>
      {empty && <p>{t("nobody.text")}</p>}
      {empty && (
        <div class="buttons">
          <button type="button" class="primary" onClick={() => show(() => t("invite.title"), <InviteForm />)}>{t("invite.title")}</button>
          <button type="button" onClick={() => show(() => t("add.title"), <AddForm />)}>{t("add.title")}</button>
        </div>
      )}
    </div>
  )
}
