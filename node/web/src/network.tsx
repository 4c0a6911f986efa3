// How the connection is, in plain words.
import { h } from "preact"
import { show } from "./dialog"
import { Icon } from "./icons"
import { t } from "./lang"
import { pending } from "./outbox"
import { link } from "./rpc"
import { Settings } from "./settings"
import { status } from "./store"

/** words says how the network is: "2 relays, 14 peers, reachable from outside". */
export function words(): string {
  if (link.value !== "up") return t(link.value === "down" ? "link.down" : "link.opening")
  const s = status.value?.network
  if (!s) return t("link.opening")
  const parts: string[] = []
  if (s.relays > 0) parts.push(t("network.relays", { n: s.relays }))
  parts.push(t("network.peers", { n: s.peers }))
  parts.push(t(`network.${s.reachability}`))
  return parts.join(t("comma"))
}

export function Connection() {
  const down = link.value !== "up"
  const waiting = pending.value.length
  return (
    <button type="button" class={down ? "row connection down" : "row connection"} onClick={() => show(() => t("settings.title"), <Settings at="network" />)}>
      <Icon name={down ? "warning" : "wifi"} />
      <span role="status">{words()}{waiting > 0 && down ? ` · ${t("outbox.waiting", { n: waiting })}` : ""}</span>
    </button>
  )
}
