// To whom a message is forwarded.
import { h } from "preact"
import { useState } from "preact/hooks"
import { close } from "./dialog"
import { t } from "./lang"
import { tell, tried } from "./notice"
import { call } from "./rpc"
import { contacts } from "./store"
import { Avatar } from "./sidebar"
import { Name, plain } from "./text"
import type { Message } from "./types"

export function Forward({ of: m }: { of: Message }) {
  const [words, setWords] = useState("")
  const list = [...contacts.value.values()]
    .filter((c) => c.state === "approved" && !c.keyChanged)
    .map((c) => ({ id: c.id, name: c.petname || c.name || c.id }))
    .filter((c) => c.name.toLocaleLowerCase().includes(words.trim().toLocaleLowerCase()))
  const send = (to: { id: string; name: string }) => {
    close()
    tried(() => call("send", { recipient: to.id, forward: m.id, idempotencyKey: crypto.randomUUID() }))
      .then((ok) => { if (ok) tell(t("forward.done", { name: plain(to.name) })) })
  }
  return (
    <div>
      <p class="quiet">{t("forward.text")}</p>
      <input type="search" dir="auto" data-first="" value={words} aria-label={t("forward.search")} placeholder={t("forward.search")} onInput={(e) => setWords(e.currentTarget.value)} />
      <ul class="list">
        {list.map((c) => <li key={c.id}><button type="button" class="row" onClick={() => send(c)}><Avatar id={c.id} name={c.name} /><Name of={c.name} /></button></li>)}
      </ul>
      {list.length === 0 && <p>{t("search.none")}</p>}
    </div>
  )
}
