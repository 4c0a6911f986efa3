import { h, render } from "preact"
import { App } from "./app"
import { apply } from "./prefs"

apply()
const root = document.getElementById("app")!
root.replaceChildren()
render(<App />, root)
