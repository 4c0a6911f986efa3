// The locked profile: nothing is shown until the passphrase is given.
import { h } from "preact"
import { useState } from "preact/hooks"
import { Icon } from "./icons"
import { t } from "./lang"
import { call, Failure } from "./rpc"

export function Locked() {
  const [wrong, setWrong] = useState("")
  const [busy, setBusy] = useState(false)
  const unlock = async (e: SubmitEvent) => {
    e.preventDefault()
    const form = e.currentTarget as HTMLFormElement
    const field = form.elements.namedItem("passphrase") as HTMLInputElement
    setBusy(true)
    setWrong("")
    try {
      await call("unlock", { passphrase: field.value })
    } catch (f) {
      if (f instanceof Failure && f.code !== "no_daemon") setWrong(f.code === "wrong_passphrase" ? t("locked.wrong") : f.message)
      setBusy(false)
    }
    field.value = ""
    field.focus()
  }
  return (
    <main class="hello">
      <Icon name="lock" class="big" />
      <h1>{t("locked.title")}</h1>
      <form class="narrow" onSubmit={unlock}>
        <label for="passphrase">{t("locked.passphrase")}</label>
        <input id="passphrase" name="passphrase" type="password" autocomplete="current-password" required autofocus aria-describedby="wrong" />
        <p id="wrong" role="alert" class="wrong">{wrong}</p>
        <button class="primary" disabled={busy}>{t(busy ? "locked.busy" : "locked.unlock")}</button>
      </form>
    </main>
  )
}
