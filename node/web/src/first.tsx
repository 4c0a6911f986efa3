// The first run: the recovery code, a name, an invite, and what comes next.
import { h } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { Flame } from "./icons"
import { Shown } from "./invite"
import { t } from "./lang"
import { tried } from "./notice"
import { call } from "./rpc"
import { saveName } from "./settings"
import { recovery, self } from "./store"

const steps = ["code", "confirm", "name", "invite"] as const
type Step = typeof steps[number]

export function FirstRun() {
  const [step, go] = useState<Step>("code")
  const title = useRef<HTMLHeadingElement>(null)
  useEffect(() => { title.current?.focus() }, [step])
  return (
    <main class="hello first">
      <Flame class="big" />
      <p class="quiet">{t("first.step", { n: steps.indexOf(step) + 1, of: steps.length })}</p>
      <h1 ref={title} tabIndex={-1}>{t(`first.${step}.title`)}</h1>
      {step === "code" && <Code next={() => go("confirm")} />}
      {step === "confirm" && <Confirm back={() => go("code")} next={() => go("name")} />}
      {step === "name" && <YourName next={() => go("invite")} />}
      {step === "invite" && <Ready />}
    </main>
  )
}

const groups = () => recovery.value.split("-")

function Code({ next }: { next: () => void }) {
  return (
    <div class="narrow">
      <p>{t("first.code.text")}</p>
      <ol class="number" dir="ltr" aria-label={t("first.code.label")}>{groups().map((g, i) => <li key={i}>{g}</li>)}</ol>
      <p class="quiet">{t("first.code.why")}</p>
      <div class="buttons"><button type="button" class="primary" onClick={next}>{t("first.code.next")}</button></div>
    </div>
  )
}

/** Confirm asks for two parts of the code: it is on paper, then. */
function Confirm({ back, next }: { back: () => void; next: () => void }) {
  const all = groups()
  const [asked] = useState(() => {
    const a = Math.floor(Math.random() * all.length)
    return [a, (a + 1 + Math.floor(Math.random() * (all.length - 1))) % all.length].sort((x, y) => x - y)
  })
  const [wrong, setWrong] = useState("")
  const check = (e: SubmitEvent) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget as HTMLFormElement)
    const right = asked.every((i) => String(form.get(`part${i}`)).trim().toLowerCase() === all[i].toLowerCase())
    if (right) next()
    else setWrong(t("first.confirm.wrong"))
  }
  return (
    <form class="narrow" onSubmit={check}>
      <p>{t("first.confirm.text")}</p>
      <div class="fields">
        {asked.map((i) => (
          <div class="field" key={i}><label for={`part${i}`}>{t("first.confirm.part", { n: i + 1 })}</label>
            <input id={`part${i}`} name={`part${i}`} dir="ltr" class="code" required autocomplete="off" spellcheck={false} aria-describedby="confirm-wrong" /></div>
        ))}
      </div>
      <p id="confirm-wrong" role="alert" class="wrong">{wrong}</p>
      <div class="buttons"><button type="button" onClick={back}>{t("first.confirm.back")}</button><button class="primary">{t("next")}</button></div>
    </form>
  )
}

function YourName({ next }: { next: () => void }) {
  const save = async (e: SubmitEvent) => {
    e.preventDefault()
    const name = String(new FormData(e.currentTarget as HTMLFormElement).get("name")).trim()
    if (!name || name === self.value?.name || await saveName(name)) next()
  }
  return (
    <form class="narrow" onSubmit={save}>
      <p>{t("first.name.text")}</p>
      <div class="field"><label for="first-name">{t("settings.name")}</label><input id="first-name" name="name" dir="auto" value={self.value?.name} maxLength={64} autocomplete="off" /></div>
      <div class="buttons"><button class="primary">{t("next")}</button></div>
    </form>
  )
}

function Ready() {
  const [made, setMade] = useState<{ link: string; expires: string } | null>(null)
  useEffect(() => { tried(async () => setMade(await call("invite"))) }, [])
  const done = () => tried(async () => {
    await call("recovery", { confirmed: true })
    recovery.value = ""
  })
  return (
    <div class="wide">
      <p>{t("first.invite.text")}</p>
      {made && <Shown of={made} />}
      <ul class="next">
        <li>{t("first.next.link")}</li>
        <li>{t("first.next.wait")}</li>
        <li>{t("first.next.verify")}</li>
      </ul>
      <div class="buttons"><button type="button" class="primary" onClick={done}>{t("first.done")}</button></div>
    </div>
  )
}
