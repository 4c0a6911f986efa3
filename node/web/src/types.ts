// The shapes of the daemon's JSON-RPC, as package api writes them.

export interface Self { account: string; device: string; fingerprint: string; uuid: string; peer: string; name: string }

export interface Contact {
  id: string; name: string; petname: string
  state: "pending" | "approved" | "blocked" | "removed"
  verified: boolean; keyChanged: boolean; request: boolean; awaits: boolean
  message?: string
}

export interface Timers { expires: string | null; burn: string | null }
export interface Style { start: number; length: number; style: string }
export interface Mention { start: number; length: number; account: string }
export interface Reaction { emoji: string; from: string }
export interface Voice { duration: number; wave: string }
export interface Attachment {
  id: string; name: string; type: string; size: number; sha256: string; have: number; state: string
  saveAs: string; claimed?: string; thumbnail?: string; voice?: Voice
}

export interface Transfer {
  id: string; file: number; conversation: string; direction: "in" | "out"; name: string
  size: number; have: number; rate: number; left: number; state: string
}

/** What the daemon says of a file that it has taken in. */
export interface Uploaded {
  id: string; name: string; size: number; sentAs: string; type: string; sends: number
  change: "none" | "cleaned" | "scaled" | "encoded" | "refused"; why?: string; thumbnail?: string
  /** The thumbnail was made here, since the daemon can make none. */
  shownBy?: "page"
}
export interface Preview { url: string; title: string; description: string; host: string; image?: string }

export interface Message {
  id: string; conversation: string; from: string; fromName: string; mine: boolean
  sent: string; received: string | null; kind: string; text: string; state: string
  expires: string | null; burn: string | null; burnsAt: string | null
  replyTo: string | null; edited: boolean; deleted: boolean; forwarded: boolean
  reactions: Reaction[]; files: Attachment[]; preview: Preview | null; waiting: boolean
  quote: { from: string; fromName: string; text: string } | null
  styles: Style[]; mentions: Mention[]; timer: Timers | null
}

export interface Choices { lockAfter: string; notify: string; fixed: string[]; previews: boolean }

export interface Draft { text: string; replyTo: string | null }

export interface Chat {
  id: string; name: string; unread: number; last: Message | null
  pinned: boolean; archived: boolean; muted: string | null
  receipts: boolean; typing: boolean; timer: Timers; draft: Draft | null
}

export interface Network { reachability: string; peers: number; relays: number }

export interface Status {
  ready: boolean; network: Network; addrs: string[]
  outbox: number; bytes: { in: number; out: number }; disk: number; uptime: number
  version: string; locked?: boolean; why: string; whyCode: string
  erasure: { level: string; why: string }; clock: { doubt: boolean; hint: string }
}

export interface Event {
  seq?: number; at: string; type: string
  message?: Message; edit?: Message; placed?: Message
  state?: { id: string; conversation: string; state: string }
  contact?: Contact; request?: Contact
  expired?: { id: string; conversation: string }
  delete?: { id: string; conversation: string; from: string }
  reaction?: { id: string; conversation: string; from: string; emoji: string }
  typing?: { conversation: string; from: string }
  network?: Network
  transfer?: Transfer
}
