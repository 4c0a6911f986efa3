// Small pictures of what the daemon can't read and this browser can: AVIF, films,
// and in some browsers HEIC.

const side = 320 // pixels, the longer one
const most = 64 << 10 // bytes

/** thumbnailOf is a JPEG in base64; "" where none can be made. */
export async function thumbnailOf(file: Blob, type: string): Promise<string> {
  const kind = type.slice(0, 6)
  if (kind !== "image/" && kind !== "video/") return ""
  const url = URL.createObjectURL(file.slice(0, file.size, type))
  try {
    return await (kind === "image/" ? picture(url) : film(url))
  } catch {
    return "" // what is no picture here may be one elsewhere
  } finally {
    URL.revokeObjectURL(url)
  }
}

async function picture(url: string): Promise<string> {
  const x = new Image()
  x.src = url
  await x.decode()
  return drawn(x, x.naturalWidth, x.naturalHeight)
}

/** film is what one shows after a second, or half way through a shorter one. */
async function film(url: string): Promise<string> {
  const x = document.createElement("video")
  x.muted = true
  x.preload = "auto"
  const next = (event: string) => new Promise<void>((yes, no) => {
    const late = setTimeout(no, 5000)
    x.addEventListener(event, () => { clearTimeout(late); yes() }, { once: true })
    x.addEventListener("error", () => { clearTimeout(late); no() }, { once: true })
  })
  try {
    const there = next("loadeddata")
    x.src = url
    await there
    const moved = next("seeked")
    x.currentTime = Math.min(1, (x.duration || 0) / 2)
    await moved
    return await drawn(x, x.videoWidth, x.videoHeight)
  } finally {
    x.removeAttribute("src")
    x.load()
  }
}

async function drawn(x: CanvasImageSource, width: number, height: number): Promise<string> {
  const by = Math.min(1, side / Math.max(width, height))
  const c = document.createElement("canvas")
  c.width = Math.max(1, Math.round(width * by))
  c.height = Math.max(1, Math.round(height * by))
  const pen = c.getContext("2d")
  if (!pen || !width || !height) return ""
  pen.fillStyle = "#fff" // below what is transparent
  pen.fillRect(0, 0, c.width, c.height)
  pen.drawImage(x, 0, 0, c.width, c.height)
  const b = await new Promise<Blob | null>((yes) => c.toBlob(yes, "image/jpeg", 0.8))
  if (!b || b.size > most) return ""
  return btoa(String.fromCharCode(...new Uint8Array(await b.arrayBuffer())))
}
