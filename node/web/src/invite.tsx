// Inviting somebody, and accepting an invite.
import { h } from "preact"
import { useRef, useState } from "preact/hooks"
import { close } from "./dialog"
import { Icon } from "./icons"
import { t } from "./lang"
import { announce, said, tell, tried } from "./notice"
import { QR, readQR } from "./qr"
import { call, Failure } from "./rpc"
import { current, refreshChats, refreshContacts } from "./store"
import { seconds, span, whole } from "./time"
import type { Contact } from "./types"

interface Invite { link: string; expires: string }

/** InviteForm makes an invite and shows it. */
export function InviteForm() {
  const [made, setMade] = useState<Invite | null>(null)
  const [busy, setBusy] = useState(false)
  const make = async (e: SubmitEvent) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget as HTMLFormElement)
    setBusy(true)
    await tried(async () => {
      setMade(await call<Invite>("invite", {
        uses: Number(form.get("uses")), expires: form.get("expires"), needsApproval: form.get("approval") === "on",
      }))
    })
    setBusy(false)
  }
  if (made) return <Shown of={made} />
  return (
    <form onSubmit={make}>
      <p>{t("invite.text")}</p>
      <div class="fields">
        <div class="field"><label for="uses">{t("invite.uses")}</label><input id="uses" name="uses" type="number" min={1} max={100} value={1} required /></div>
        <div class="field"><label for="lasts">{t("invite.expires")}</label>
          <select id="lasts" name="expires">
            {["1h", "1d", "7d", "30d"].map((x) => <option value={x} selected={x === "7d"}>{span(seconds(x))}</option>)}
          </select>
        </div>
      </div>
      <label class="check"><input type="checkbox" name="approval" /><span>{t("invite.approval")}</span></label>
      <div class="buttons"><button class="primary" disabled={busy} data-first="">{t("invite.make")}</button></div>
    </form>
  )
}

/** Shown is an invite to be given to somebody. */
export function Shown({ of: i }: { of: Invite }) {
  const copy = () => tried(async () => {
    await navigator.clipboard.writeText(i.link)
    tell(t("copied"))
  })
  return (
    <div class="invite">
      <QR text={i.link.toUpperCase()} label={t("invite.qr")} />
      <div>
        <label for="link">{t("invite.link")}</label>
        <textarea id="link" class="code" readOnly rows={4} dir="ltr" value={i.link} onFocus={(e) => e.currentTarget.select()} />
        <div class="buttons"><button type="button" class="primary" data-first="" onClick={copy}><Icon name="copy" />{t("copy")}</button></div>
        <p class="quiet">{t("invite.until", { time: whole(i.expires) })}</p>
        <p class="quiet">{t("invite.private")}</p>
      </div>
    </div>
  )
}

/** AddForm accepts an invite, as a link or as a picture of its QR code. */
export function AddForm() {
  const [busy, setBusy] = useState(false)
  const [wrong, setWrong] = useState("")
  const [link, setLink] = useState("")
  const add = async (e: SubmitEvent) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget as HTMLFormElement)
    setBusy(true)
    setWrong("")
    try {
      const r = await call<{ contact: Contact; needsApproval: boolean }>("add", { link: link.trim(), as: String(form.get("as")).trim(), message: String(form.get("message")).trim() })
      await Promise.all([refreshContacts(), refreshChats()])
      close()
      current.value = r.contact.id
      tell(t(r.needsApproval ? "add.asked" : r.contact.state === "approved" ? "add.done" : "add.wait"))
    } catch (f) {
      setWrong(f instanceof Failure ? said(f) : String(f))
    }
    setBusy(false)
  }
  const look = async (picture: File) => {
    setBusy(true)
    setWrong("")
    try {
      setLink(await readQR(picture))
      announce(t("add.picture.done"))
    } catch (f) {
      setWrong(f instanceof Failure && f.code !== "usage" ? said(f) : t("add.picture.none"))
    }
    setBusy(false)
  }
  const paste = (e: ClipboardEvent) => {
    const picture = pictureIn(e.clipboardData?.files)
    if (!picture) return
    e.preventDefault()
    look(picture)
  }
  return (
    <form onSubmit={add} onPaste={paste}>
      <p>{t("add.text")}</p>
      <div class="field"><label for="add-link">{t("invite.link")}</label>
        <textarea id="add-link" name="link" class="code" required rows={4} dir="ltr" spellcheck={false} autocomplete="off" placeholder="rushlight:…" aria-describedby="add-wrong"
          value={link} onInput={(e) => setLink(e.currentTarget.value)} /></div>
      <FromPicture busy={busy} chosen={look} />
      <div class="field"><label for="add-as">{t("add.as")}</label><input id="add-as" name="as" dir="auto" maxLength={64} autocomplete="off" /></div>
      <div class="field"><label for="add-message">{t("add.message")}</label><textarea id="add-message" name="message" rows={2} dir="auto" maxLength={1000} autocomplete="off" /></div>
      <p id="add-wrong" role="alert" class="wrong">{wrong}</p>
      <div class="buttons"><button class="primary" disabled={busy}>{t(busy ? "add.busy" : "add.yes")}</button></div>
    </form>
  )
}

/** FromPicture chooses a picture of a QR code. */
function FromPicture({ busy, chosen }: { busy: boolean; chosen: (picture: File) => void }) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <div class="buttons start">
      <input ref={input} id="add-picture" type="file" accept="image/*" hidden onChange={(e) => {
        const picture = pictureIn(e.currentTarget.files)
        e.currentTarget.value = ""
        if (picture) chosen(picture)
      }} />
      <button type="button" disabled={busy} onClick={() => input.current!.click()}><Icon name="qr" />{t("add.picture")}</button>
      <span class="quiet">{t("add.picture.how")}</span>
    </div>
  )
}

const pictureIn = (files: FileList | null | undefined): File | undefined => [...files ?? []].find((f) => f.type.startsWith("image/"))
