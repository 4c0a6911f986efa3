// Comparing safety numbers: that nobody stands between two people.
import { h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Icon } from "./icons"
import { t } from "./lang"
import { said, tell } from "./notice"
import { QR } from "./qr"
import { call, Failure } from "./rpc"
import { refreshContacts, shown } from "./store"
import { close } from "./dialog"
import { plain } from "./text"

interface Verification { number: string; verified: boolean; qr: string }

export function Verify({ id }: { id: string }) {
  const [v, setV] = useState<Verification | null>(null)
  const [wrong, setWrong] = useState("")
  const name = plain(shown(id))
  useEffect(() => {
    call<Verification>("verify", { who: id }).then(setV, (f) => setWrong(f instanceof Failure ? said(f) : String(f)))
  }, [id])
  useEffect(() => { if (v) document.getElementById("their-number")?.focus() }, [!!v])
  const check = async (number: string) => {
    setWrong("")
    try {
      setV(await call<Verification>("verify", { who: id, number }))
      await refreshContacts()
      tell(t("verify.ok", { name }))
      close()
    } catch (f) {
      setWrong(f instanceof Failure ? t(f.code === "not_verified" ? "verify.differs" : "verify.malformed") : String(f))
    }
  }
  if (!v) return <p role={wrong ? "alert" : "status"}>{wrong || t("loading")}</p>
  const digits = v.number.replace(/\s/g, "")
  return (
    <div>
      <p class={v.verified ? "verified" : ""}>{v.verified && <Icon name="verified" />}{t(v.verified ? "verify.is" : "verify.text", { name })}</p>
      <div class="invite">
        <QR text={v.qr} label={t("verify.qr")} />
        <ol class="number" aria-label={t("verify.number")} dir="ltr">
          {digits.match(/.{5}/g)?.map((g, i) => <li key={i}>{g}</li>)}
        </ol>
      </div>
      <form onSubmit={(e) => { e.preventDefault(); check(String(new FormData(e.currentTarget as HTMLFormElement).get("number"))) }}>
        <div class="field"><label for="their-number">{t("verify.theirs", { name })}</label>
          <textarea id="their-number" name="number" class="code" data-first="" required rows={3} dir="ltr" inputMode="numeric" autocomplete="off" aria-describedby="verify-wrong" /></div>
        <p id="verify-wrong" role="alert" class="wrong">{wrong}</p>
        <div class="buttons"><button class="primary">{t("verify.check")}</button></div>
      </form>
    </div>
  )
}
