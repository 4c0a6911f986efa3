// Which of the few whole views is shown.
import { Fragment, h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Denied } from "./denied"
import { Dialogs } from "./dialog"
import { FirstRun } from "./first"
import { t } from "./lang"
import { Locked } from "./locked"
import { Announcer, Toasts } from "./notice"
import { link } from "./rpc"
import { login, type Login } from "./session"
import { Shell } from "./shell"
import { loaded, locked, recovery, start } from "./store"

export function App() {
  const [state, setState] = useState<Login | "">("")
  useEffect(() => {
    let alive = true
    login().then((l) => {
      if (!alive) return
      setState(l)
      if (l === "ok") start()
    })
    return () => { alive = false }
  }, [])
  return (
    <>
      <View state={state} />
      <Dialogs />
      <Toasts />
      <Announcer />
    </>
  )
}

function View({ state }: { state: Login | "" }) {
  if (state !== "" && state !== "ok") return <Denied why={state} />
  if (link.value === "denied" && state === "ok") return <Denied why="refused" />
  if (locked.value) return <Locked />
  if (!loaded.value) {
    return <main class="hello"><h1>Rushlight</h1><p role="status">{t(link.value === "down" ? "link.down.first" : "link.opening")}</p></main>
  }
  if (recovery.value) return <FirstRun />
  return <Shell />
}
