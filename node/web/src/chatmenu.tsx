// What can be done with a conversation as a whole.
import { h } from "preact"
import { Ask, Menu, menu, show, type Item } from "./dialog"
import { t } from "./lang"
import { tried } from "./notice"
import { Person, Rename } from "./person"
import { call } from "./rpc"
import { contact, current, refreshChats, refreshContacts } from "./store"
import { TimerForm } from "./timers"
import { plain } from "./text"
import type { Chat } from "./types"
import { Verify } from "./verify"

const set = (c: Chat, what: object) => tried(async () => {
  await call("conversation", { who: c.id, ...what })
  await refreshChats()
})

/** contactDo changes a contact and shows what came of it. */
export const contactDo = (method: string, id: string) => tried(async () => {
  await call(method, { who: id })
  await Promise.all([refreshContacts(), refreshChats()])
})

export function chatMenu(c: Chat, at: Element): void {
  const k = contact(c.id)
  const name = plain(c.name)
  const items: Item[] = [
    { label: t("person.title"), icon: "person", do: () => show(name, <Person id={c.id} />) },
    { label: t("verify.title"), icon: "shield", do: () => show(() => t("verify.title"), <Verify id={c.id} />) },
    { label: t("timers.title"), icon: "timer", do: () => show(() => t("timers.title"), <TimerForm id={c.id} />) },
    { label: t("rename.title"), icon: "edit", do: () => show(() => t("rename.title"), <Rename id={c.id} />) },
    { label: t(c.pinned ? "chats.unpin" : "chats.pin"), icon: "pin", do: () => set(c, { pinned: !c.pinned }) },
    { label: t(c.muted ? "chats.unmute" : "chats.mute"), icon: c.muted ? "bell" : "mute", do: () => set(c, { mute: c.muted ? "off" : "365d" }) },
    { label: t(c.archived ? "chats.unarchive" : "chats.archive"), icon: "archive", do: () => set(c, { archived: !c.archived }) },
  ]
  if (k?.state === "blocked") items.push({ label: t("block.undo"), icon: "block", do: () => contactDo("unblock", c.id) })
  else items.push({
    label: t("block.title"), icon: "block", bad: true,
    do: () => show(() => t("block.title"), () => <Ask text={t("block.text", { name })} yes={t("block.yes")} bad act={() => contactDo("block", c.id)} />),
  })
  items.push({
    label: t("remove.title"), icon: "trash", bad: true,
    do: () => show(() => t("remove.title"), () => <Ask text={t("remove.text", { name })} yes={t("remove.yes")} bad act={() => {
      contactDo("remove", c.id).then((ok) => { if (ok && current.value === c.id) current.value = "" })
    }} />),
  })
  menu(() => t("chats.menu", { name }), at, <Menu items={items} />)
}
