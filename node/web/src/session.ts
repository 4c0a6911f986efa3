// Who this page is to the daemon. The link that opens the page has a code in
// its fragment, which never leaves the browser by itself; it is exchanged once
// for a token that lives as long as the tab.

const name = "token"

export const token = (): string | null => sessionStorage.getItem(name)
export const forgetToken = (): void => sessionStorage.removeItem(name)

/** The outcome of a login: no code in the address is "none". */
export type Login = "ok" | "none" | "refused" | "away"

/** login exchanges the code of the address, if there is one. */
export async function login(): Promise<Login> {
  const code = location.hash.replace(/^#(code=)?/, "")
  if (!code) return token() ? "ok" : "none"
  history.replaceState(null, "", location.pathname) // not for the history, nor for a reload
  try {
    const r = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    })
    if (!r.ok) return token() ? "ok" : "refused"
    sessionStorage.setItem(name, (await r.json()).token)
    return "ok"
  } catch {
    return token() ? "ok" : "away"
  }
}
