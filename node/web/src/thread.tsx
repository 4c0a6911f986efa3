// One conversation: who it is with, its messages, and where to write.
import { h } from "preact"
import { useEffect } from "preact/hooks"
import { chatMenu, contactDo } from "./chatmenu"
import { Composer } from "./composer"
import * as conversation from "./conversation"
import { show } from "./dialog"
import { Icon } from "./icons"
import { t } from "./lang"
import { MessageList } from "./list"
import { failed } from "./notice"
import { Person } from "./person"
import { here, query } from "./search"
import { Avatar } from "./sidebar"
import { chats, contact, current, shown, typing } from "./store"
import { Name, plain } from "./text"
import { timerWords } from "./timers"
import { Verify } from "./verify"

export function Thread({ with: id }: { with: string }) {
  useEffect(() => {
    if (conversation.id.value !== id) {
      conversation.open(id, chats.value.find((c) => c.id === id)?.unread ?? 0).catch(failed)
    }
    return () => { if (conversation.id.value === id) conversation.close() }
  }, [id])
  const chat = chats.value.find((c) => c.id === id)
  const k = contact(id)
  const name = shown(id)
  const timer = chat && timerWords(chat.timer)
  const search = () => {
    here.value = true
    document.getElementById("search")?.focus()
  }
  return (
    <section class="thread" aria-label={t("thread.with", { name: plain(name) })}>
      <header>
        <button type="button" class="icon only-narrow" aria-label={t("back")} onClick={() => { current.value = "" }}><Icon name="back" /></button>
        <button type="button" class="who" onClick={() => show(plain(name), <Person id={id} />)} title={t("thread.about", { name: plain(name) })}>
          <Avatar id={id} name={name} />
          <span>
            <span class="title"><Name class="name" of={name} />{k?.verified && <Icon name="verified" class="small" label={t("verify.done")} />}</span>
            <span class="below">{typing.value[id] ? t("typing") : timer || t(k?.verified ? "thread.verified" : "thread.encrypted")}</span>
          </span>
        </button>
        <button type="button" class="icon" aria-label={t("search.this")} title={t("search.this")} onClick={search} aria-pressed={query.value !== "" && here.value}><Icon name="search" /></button>
        {chat && <button type="button" class="icon" aria-label={t("chats.menu", { name: plain(name) })} aria-haspopup="dialog" title={t("more")} onClick={(e) => chatMenu(chat, e.currentTarget)}><Icon name="more" /></button>}
      </header>
      <Notices id={id} />
      <MessageList with={id} />
      {k && (k.state === "approved" || k.state === "pending" && !k.request) && !k.keyChanged && <Composer with={id} />}
    </section>
  )
}

/** Notices say why nothing can be sent, and what to do about it. */
function Notices({ id }: { id: string }) {
  const k = contact(id)
  if (!k) return null
  const name = plain(shown(id))
  if (k.state === "blocked") {
    return <div class="notice" role="status"><Icon name="block" /><p>{t("notice.blocked", { name })}</p><button type="button" onClick={() => contactDo("unblock", id)}>{t("block.undo")}</button></div>
  }
  if (k.state === "pending") {
    return <div class="notice" role="status"><Icon name="clock" /><p>{t(k.awaits ? "notice.awaits" : "notice.pending", { name })}</p></div>
  }
  if (k.keyChanged) {
    return <div class="notice bad" role="alert"><Icon name="warning" /><p>{t("notice.key", { name })}</p><button type="button" onClick={() => show(() => t("verify.title"), <Verify id={id} />)}>{t("verify.title")}</button></div>
  }
  return null
}
