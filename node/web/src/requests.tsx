// People who ask to be contacts.
import { h } from "preact"
import { contactDo } from "./chatmenu"
import { Icon } from "./icons"
import { t } from "./lang"
import { Avatar } from "./sidebar"
import { current, requests } from "./store"
import { Name, plain } from "./text"

export function Requests() {
  const answer = (method: string, id: string, then = "") => contactDo(method, id).then((ok) => {
    if (ok) current.value = then || (requests.value.length > 0 ? "requests" : "")
  })
  return (
    <section class="thread" aria-label={t("requests.title")}>
      <header>
        <button type="button" class="icon only-narrow" aria-label={t("back")} onClick={() => { current.value = "" }}><Icon name="back" /></button>
        <h2>{t("requests.title")}</h2>
      </header>
      <div class="page">
        <p>{t("requests.text")}</p>
        <ul class="cards">
          {requests.value.map((c) => {
            const name = c.petname || c.name || c.id
            return (
              <li key={c.id} class="card">
                <Avatar id={c.id} name={name} />
                <div><p><Name class="name" of={name} /></p><p class="quiet"><code dir="ltr">{c.id.slice(0, 20)}…</code></p>
                  {c.message && <p class="text">{c.message.split("\n").map(plain).join("\n")}</p>}</div>
                <div class="buttons">
                  <button type="button" class="primary" aria-label={t("requests.approve.label", { name: plain(name) })} onClick={() => answer("approve", c.id, c.id)}>{t("requests.approve")}</button>
                  <button type="button" aria-label={t("requests.decline.label", { name: plain(name) })} onClick={() => answer("decline", c.id)}>{t("requests.decline")}</button>
                  <button type="button" class="danger" aria-label={t("requests.block.label", { name: plain(name) })} onClick={() => answer("block", c.id)}>{t("block.yes")}</button>
                </div>
              </li>
            )
          })}
        </ul>
      </div>
    </section>
  )
}
