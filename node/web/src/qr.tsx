// A QR code, drawn as one path out of the rows that the daemon computed.
import { h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { t } from "./lang"
import { call, Failure } from "./rpc"

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
  const side = size * Math.max(3, Math.floor(264 / size)) // whole pixels, so that a picture of the screen can be read
  return (
    <svg class="qr" width={side} height={side} viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <rect width={size} height={size} class="paper" /><path d={d} class="ink" />
    </svg>
  )
}

const widest = 1400 // pixels; more are of no use to whoever looks for a code
const largest = 380_000 // bytes that the daemon takes

/** readQR has the daemon read the QR code in a picture: as it is, and then
 * somewhat larger and smaller, which is what helps when pixels lie badly. */
export async function readQR(picture: File): Promise<string> {
  const whole = await createImageBitmap(picture)
  try {
    const fit = Math.min(1, widest / Math.max(whole.width, whole.height))
    for (const scale of [fit, fit * 1.5]) {
      try {
        return await ask(whole, scale)
      } catch (e) {
        if (!(e instanceof Failure) || e.code !== "usage") throw e
      }
    }
    return await ask(whole, fit * 0.7)
  } finally {
    whole.close()
  }
}

async function ask(whole: ImageBitmap, scale: number): Promise<string> {
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(whole.width * scale))
  canvas.height = Math.max(1, Math.round(whole.height * scale))
  const pen = canvas.getContext("2d")!
  pen.fillStyle = "#fff" // behind what is transparent
  pen.fillRect(0, 0, canvas.width, canvas.height)
  pen.drawImage(whole, 0, 0, canvas.width, canvas.height)
  const as = (type: string, quality?: number) => new Promise<Blob>((yes, no) => canvas.toBlob((b) => b ? yes(b) : no(new Error(type)), type, quality))
  let blob = await as("image/png")
  for (let quality = 0.9; blob.size > largest && quality > 0.2; quality -= 0.2) blob = await as("image/jpeg", quality)
  const bytes = new Uint8Array(await blob.arrayBuffer())
  let binary = ""
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  return (await call<{ text: string }>("readQR", { image: btoa(binary) })).text
}
