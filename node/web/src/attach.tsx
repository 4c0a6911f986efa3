// Files that are about to be sent: chosen, dropped or pasted, and what will be
// made of them, which is said before it happens.
import { signal } from "@preact/signals"
import { h } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { useSmall } from "./content"
import { Progress } from "./files"
import { Icon } from "./icons"
import { t } from "./lang"
import { said, tell } from "./notice"
import { plain, Name } from "./text"
import { bytes } from "./time"
import { most, Upload } from "./uploads"

/** How pictures and the like are sent. */
export type As = "small" | "full" | "original"

interface Tray { files: Upload[]; as: As }

const empty: Tray = { files: [], as: "small" }
const trays = signal<Record<string, Tray>>({})

export const tray = (who: string): Tray => trays.value[who] ?? empty

const put = (who: string, to: Tray): void => { trays.value = { ...trays.value, [who]: to } }

/** add puts files into the tray of a conversation. */
export function add(who: string, list: Iterable<File>): void {
  const now = tray(who)
  const files = [...now.files]
  for (const f of list) {
    if (files.length >= most) {
      tell(t("attach.most", { n: most }), true)
      break
    }
    // No system's name has these, but a picture out of a page may.
    const u = new Upload(f, f.name.replace(/[/\\\u0000-\u001f\u007f-\u009f]/g, "_") || "file")
    files.push(u)
    u.ready().catch(() => {}) // the tray says so
  }
  put(who, { ...now, files })
}

function remove(who: string, u: Upload): void {
  u.drop()
  const now = tray(who)
  put(who, { ...now, files: now.files.filter((x) => x !== u) })
}

/** taken empties the tray and gives what was in it. */
export function taken(who: string): Tray {
  const now = tray(who)
  put(who, empty)
  return now
}

/** unsendable tells whether something in the tray can't be sent like this. */
export const unsendable = (x: Tray): boolean =>
  x.files.some((u) => u.failed.value !== null && u.failed.value.code !== "no_daemon" || x.as !== "original" && u.done.value?.change === "refused")

/** filesOf are the files that somebody dropped or pasted. */
export function filesOf(d: DataTransfer): File[] {
  const folder = (x: DataTransferItem) => x.webkitGetAsEntry?.()?.isDirectory
  const items = [...d.items].filter((x) => x.kind === "file")
  if (items.some(folder)) tell(t("attach.folder"), true)
  return items.filter((x) => !folder(x)).map((x) => x.getAsFile()).filter((x): x is File => x !== null)
}

/** useDrop takes what is dropped anywhere on the page, and says where it goes. */
export function useDrop(who: string): boolean {
  const over = useRef(signal(false)).current
  useEffect(() => {
    const has = (e: DragEvent) => !!e.dataTransfer?.types.includes("Files")
    const drag = (e: DragEvent) => {
      if (!has(e)) return
      e.preventDefault() // or the browser would open the file
      over.value = !document.querySelector("dialog[open]")
    }
    const leave = (e: DragEvent) => { if (!e.relatedTarget) over.value = false }
    const drop = (e: DragEvent) => {
      if (!has(e)) return
      e.preventDefault()
      if (over.value) add(who, filesOf(e.dataTransfer!))
      over.value = false
    }
    addEventListener("dragover", drag)
    addEventListener("dragleave", leave)
    addEventListener("drop", drop)
    return () => {
      removeEventListener("dragover", drag)
      removeEventListener("dragleave", leave)
      removeEventListener("drop", drop)
    }
  }, [who])
  return over.value
}

/** AttachButton opens the system's choice of files. */
export function AttachButton({ who, disabled }: { who: string; disabled: boolean }) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <span>
      <input type="file" multiple hidden ref={input} id="attach" aria-label={t("attach.title")} onChange={(e) => {
        add(who, [...e.currentTarget.files ?? []])
        e.currentTarget.value = ""
        document.getElementById("composer")?.focus()
      }} />
      <button type="button" class="icon" disabled={disabled} aria-label={t("attach.title")} title={t("attach.title")} onClick={() => input.current!.click()}><Icon name="clip" /></button>
    </span>
  )
}

export function TrayView({ who }: { who: string }) {
  const now = tray(who)
  if (now.files.length === 0) return null
  const choice = now.files.some((u) => u.done.value && u.done.value.change !== "none")
  return (
    <section class="tray" aria-label={t("attach.files")}>
      <ul>{now.files.map((u) => <Row key={u.name + u.file.size} of={u} as={now.as} remove={() => remove(who, u)} />)}</ul>
      {choice && (
        <div class="as"><label for="send-as">{t("attach.as")}</label>
          <select id="send-as" value={now.as} onChange={(e) => put(who, { ...now, as: e.currentTarget.value as As })}>
            {(["small", "full", "original"] as As[]).map((x) => <option value={x}>{t(`attach.as.${x}`)}</option>)}
          </select></div>
      )}
      {choice && now.as === "original" && <p class="wrong" role="alert">{t("attach.original")}</p>}
    </section>
  )
}

function Row({ of: u, as, remove }: { of: Upload; as: As; remove: () => void }) {
  const d = u.done.value, f = u.failed.value
  const picture = useSmall(d?.thumbnail)
  return (
    <li class="chip">
      {picture ? <img src={picture.url} alt="" /> : <Icon name={u.voice ? "mic" : "file"} />}
      <div class="about-file">
        <Name of={u.name} class="name" />
        {d ? <span class={d.change === "refused" && as !== "original" ? "bad" : "quiet"} role="status">{made(u, as)}</span>
          : f ? <span class="bad" role="alert">{said(f)}</span>
            : <Progress have={u.sent.value} size={u.file.size} rate={u.rate.value} label={t("attach.progress", { name: plain(u.name) })} />}
      </div>
      {f && <button type="button" onClick={() => { u.ready().catch(() => {}) }}>{t("retry")}</button>}
      <button type="button" class="icon" aria-label={t(d ? "attach.remove" : "attach.cancel", { name: plain(u.name) })} onClick={remove}><Icon name="close" /></button>
    </li>
  )
}

/** made says what is made of a file before it is sent. */
function made(u: Upload, as: As): string {
  const d = u.done.value!
  if (as === "original" && d.change !== "none") return t("attach.is.original", { size: bytes(d.size) })
  if (d.change === "scaled" && as === "small") return t("attach.is.scaled", { before: bytes(d.size), size: bytes(d.sends) })
  const size = bytes(d.change === "scaled" ? d.size : d.sends || d.size)
  return t(`attach.is.${d.change === "scaled" ? "cleaned" : d.change}`, { size })
}
