// A QR code, drawn as one path out of the rows that the daemon computed.
import { h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { t } from "./lang"
import { call } from "./rpc"

export function QR({ text, label }: { text: string; label: string }) {
  const [rows, setRows] = useState<string[]>([])
  useEffect(() => {
    setRows([])
    call<{ rows: string[] }>("qr", { text }).then((r) => setRows(r.rows), () => {})
  }, [text])
  if (rows.length === 0) return <p class="quiet">{t("qr.none")}</p>
  let d = ""
  rows.forEach((row, y) => {
    for (const m of row.matchAll(/1+/g)) d += `M${m.index! + 4} ${y + 4}h${m[0].length}v1h-${m[0].length}z`
  })
  const size = rows.length + 8
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} class="paper" /><path d={d} class="ink" />
    </svg>
  )
}
