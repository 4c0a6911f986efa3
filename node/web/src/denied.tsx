// What is shown to somebody without a login.
import { h } from "preact"
import { Flame } from "./icons"
import { t } from "./lang"
import type { Login } from "./session"

export function Denied({ why }: { why: Login }) {
  return (
    <main class="hello">
      <Flame class="big" />
      <h1>{t("denied.title")}</h1>
      <p role="alert">{t(`denied.${why}`)}</p>
      <p>{t("denied.how")}</p>
      <p><code dir="ltr">rushlight page</code></p>
    </main>
  )
}
