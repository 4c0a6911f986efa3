// Icons as nodes, drawn with the colour of the text beside them.
import { h } from "preact"

const paths: Record<string, string> = {
  flame: "M12 3c3 3.6 5 6 5 9a5 5 0 0 1-10 0c0-3 2-5.4 5-9zM12 17v4",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  close: "M6 6l12 12M18 6L6 18",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.500L20 20",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2M19 14h1M14 17h1M17 17h3M14 20h3M19.500 20h.5",
  plus: "M12 5v14M5 12h14",
  invite: "M10 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM3 20c0-4 3-6 7-6 1.5 0 2.8.3 4 .8M18 14v6M15 17h6",
  settings: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.100M16.3 16.3l2.1 2.100M5.6 18.4l2.1-2.100M16.3 7.7l2.1-2.1",
  send: "M4 12l16-8-5 16-3.5-6.500z",
  back: "M15 5l-7 7 7 7",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  reply: "M9 7l-5 5 5 5M4 12h10c4 0 6 2 6 6",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 10h.01M15 10h.01M8 14.500c1 1.3 2.4 2 4 2s3-.7 4-2",
  edit: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  forward: "M15 7l5 5-5 5M20 12H10c-4 0-6 2-6 6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  undo: "M4 5v5h5M4.5 10A8 8 0 1 1 5 16",
  copy: "M9 9h10v11H9zM5 15V4h10",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
  timer: "M12 6a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM12 10v4M9.5 3h5",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  mute: "M6 16V11a6 6 0 0 1 9-5M18 11v5l1.5 2H6M10 20.500h4M4 4l16 16",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.500h4",
  archive: "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
  shield: "M12 3l7 3v6c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6z",
  verified: "M12 3l7 3v6c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6zM8.5 12l2.5 2.5 4.5-5",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
  block: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.7 5.7l12.6 12.6",
  down: "M6 9l6 6 6-6",
  tick: "M5 12.500l4.5 4.500L19 7.5",
  ticks: "M2 12.500l4.5 4.500L14 8M11 16l1 1 9.5-9.5",
  tray: "M4 14v5h16v-5M12 4v10M8 10.500l4 4 4-4",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  failed: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.500v6M12 16.500h.01",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20c0-4 3.5-6 8-6s8 2 8 6",
  inbox: "M4 13l3-8h10l3 8v6H4zM4 13h5l1.5 2.500h3L15 13h5",
  wifi: "M4 10c5-4.5 11-4.5 16 0M7 13.500c3-2.7 7-2.7 10 0M10 17c1.2-1 2.8-1 4 0",
  clip: "M8 12l6-6a3 3 0 0 1 4.200 4.200l-8 8a5 5 0 0 1-7-7l7-7",
  save: "M12 4v11M7.500 10.500L12 15l4.500-4.500M5 20h14",
  next: "M9 5l7 7-7 7",
  play: "M8 5l11 7-11 7z",
  pause: "M9 5v14M15 5v14",
  stop: "M7 7h10v10H7z",
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
}

/** Flame is what the program is called after. */
export function Flame({ class: c }: { class?: string }) {
  return (
    <svg class={`i flame ${c ?? ""}`} viewBox="0 0 32 32" aria-hidden="true">
      <path class="outer" d="M16 3c4 4.8 6 7.8 6 10.8a6 6 0 0 1-12 0C10 10.8 12 7.8 16 3z" />
      <path class="inner" d="M16 10c2 2.3 2.8 3.7 2.8 5a2.8 2.8 0 0 1-5.6 0c0-1.3.8-2.7 2.8-5z" />
      <rect class="stem" x="14.6" y="21.500" width="2.8" height="8" rx="1.4" />
    </svg>
  )
}

export function Icon({ name, class: c, label }: { name: string; class?: string; label?: string }) {
  const flip = name === "back" || name === "next" || name === "reply" || name === "forward" || name === "send" || name === "undo" ? " flips" : ""
  return (
    <svg class={`i ${name === "more" ? "more " : ""}${c ?? ""}${flip}`} viewBox="0 0 24 24" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
      <path d={paths[name]} />
    </svg>
  )
}
