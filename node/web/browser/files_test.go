//go:build linux

package browser_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rushlight/node/api"
)

const shots = `document.querySelectorAll("li[data-message] .shot")`

// Pictures by picker, drop and paste: what they tell is removed and that is said
// before; the other side sees the small picture, opens the whole one and saves it.
func TestPictures(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	path, _ := photo(t, "IMG_20260102_030405.jpg", 900, 600, 40)
	if s := told(t, path); !strings.Contains(s, "SecretCam") || !strings.Contains(s, "GPSLatitude") {
		t.Fatalf("the control: exiftool finds nothing in the picture: %s", s)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, way := range []struct {
		name string
		give func()
	}{
		{"picker", func() { a.pick(path) }},
		{"drop", func() { a.drop(path) }},
		{"paste", func() { a.pasteFile("pasted.jpg", "image/jpeg", raw) }},
	} {
		saves := b.savedTo()
		way.give()
		a.inTray(1)
		a.wait(`document.querySelector(".tray").textContent.includes("Metadata removed")`)
		a.wait(`document.querySelector(".tray img").naturalWidth > 0`)
		a.picture("files-tray")
		a.fill("#composer", "a caption by "+way.name)
		a.keys(enter)
		a.wait(`!document.querySelector(".tray")`)
		b.says("a caption by " + way.name)
		b.wait(fmt.Sprintf(`%s.length === %d`, shots, i+1))
		b.wait(fmt.Sprintf(`[...%s].at(-1).querySelector("img")?.naturalWidth === 900`, shots))
		a.wait(fmt.Sprintf(`[...%s].at(-1).querySelector("img")?.naturalWidth === 900`, shots))
		m, f := bob.lastFile("Ann")
		if m.Text != "a caption by "+way.name || f.Thumbnail == "" || len(f.Thumbnail) > 12288*4/3+4 || f.Type != "image/jpeg" {
			t.Errorf("%s: %q, thumbnail of %d, %s", way.name, m.Text, len(f.Thumbnail), f.Type)
		}
		b.do(fmt.Sprintf(`[...%s].at(-1).focus() ?? [...%s].at(-1).click()`, shots, shots))
		b.wait(`document.querySelector("dialog.viewer .stage img")?.naturalWidth === 900`)
		b.press("Save " + f.Name)
		got := b.saved(saves, f.SaveAs)
		if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(got)) != f.Size {
			t.Errorf("%s: %d bytes were saved, %d sent, or others", way.name, len(got), f.Size)
		}
		if s := told(t, filepath.Join(saves, f.SaveAs)); s != "" {
			t.Errorf("%s: the recipient's copy tells\n%s", way.name, s)
		}
		small, err := base64.StdEncoding.DecodeString(f.Thumbnail)
		if err != nil {
			t.Fatal(err)
		}
		tiny := filepath.Join(t.TempDir(), "small.jpg")
		if err := os.WriteFile(tiny, small, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := told(t, tiny); s != "" {
			t.Errorf("%s: the thumbnail tells\n%s", way.name, s)
		}
		b.keys(escape)
		b.wait(`!document.querySelector("dialog")`)
		b.wait(fmt.Sprintf(`document.activeElement === [...%s].at(-1)`, shots))
	}
	a.calm()
	b.calm()
}

// Several files with one caption, one taken out again; a large picture is made
// smaller unless the person wants it whole, or as it is.
func TestChoices(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	large, plainLarge := photo(t, "large.jpg", 2600, 1300, 90)
	other, _ := photo(t, "other.jpg", 300, 200, 200)
	doc := file(t, "notes.txt", "milk\nbread\n")
	raw := file(t, "raw.ico", "\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00")
	sends := func(as string) api.File {
		t.Helper()
		a.pick(large)
		a.inTray(1)
		if as != "small" {
			a.wait(`document.querySelector("#send-as")`)
			a.do(`((x) => { x.value = ` + quote(as) + `; x.dispatchEvent(new Event("change", { bubbles: true })) })(document.querySelector("#send-as"))`)
		}
		a.wait(`document.querySelector(".tray li").textContent.includes(` + quote(map[string]string{
			"small": "made smaller", "full": "Metadata removed,", "original": "with its metadata",
		}[as]) + `)`)
		a.press("Send")
		n := get[int](b, shots+".length")
		b.wait(fmt.Sprintf(`%s.length === %d || %s.length > %d`, shots, n, shots, n))
		until(t, "it has come", func() bool {
			var r struct{ Messages []api.Message }
			bob.call("read", map[string]any{"who": "Ann", "limit": 1, "peek": true}, &r)
			return len(r.Messages) == 1 && len(r.Messages[0].Files) == 1 && r.Messages[0].Files[0].State == api.TransferDone && r.Messages[0].Text == ""
		})
		_, f := bob.lastFile("Ann")
		var x struct{ ID string }
		bob.call("delete", map[string]string{"id": f.ID[:32]}, &x)
		return f
	}
	small, full, original := sends("small"), sends("full"), sends("original")
	st, err := os.Stat(large)
	if err != nil {
		t.Fatal(err)
	}
	if small.Size >= full.Size || full.Size >= original.Size || original.Size != st.Size() || full.Size > int64(len(plainLarge)) {
		t.Errorf("small %d, full %d of %d, original %d of %d bytes", small.Size, full.Size, len(plainLarge), original.Size, st.Size())
	}

	a.pick(doc, other, raw)
	a.inTray(3)
	a.says("It can only be sent as the original.")
	a.wait(`document.querySelector(".send").disabled`) // not unless it is told so
	a.press("Take out raw.ico")
	a.inTray(2)
	a.fill("#composer", "two of them")
	a.press("Send")
	b.says("two of them")
	b.wait(`[...document.querySelectorAll(".chip .name")].some((x) => x.textContent === "notes.txt") && ` + shots + `.length === 1`)
	dir := b.savedTo()
	b.press("Save notes.txt")
	if s := b.saved(dir, "notes.txt"); string(s) != "milk\nbread\n" {
		t.Errorf("saved: %q", s)
	}
	a.calm()
	b.calm()
}

// The viewer by keyboard alone: opened, through all pictures, and the focus is
// where it was.
func TestViewerKeys(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	for i, name := range []string{"one.jpg", "two.jpg", "three.jpg"} {
		path, _ := photo(t, name, 200+i, 150, uint8(i))
		a.pick(path)
		a.inTray(1)
		a.focus("#composer")
		a.keys(tab, tab) // nothing but the keys
		a.focus("#composer")
		a.press("Send")
		b.wait(fmt.Sprintf(`[...%s].filter((x) => x.querySelector("img")?.naturalWidth === %d && !x.disabled).length === 1`, shots, 200+i))
	}
	// From the composer back to the messages, up to the second, and into it.
	b.do(`[...document.querySelectorAll("li[data-message]")].at(-1).focus()`)
	b.keys(arrowUp)
	b.keys(tab)
	b.wait(`document.activeElement.classList.contains("shot")`)
	b.keys(enter)
	wide := func(n int) {
		t.Helper()
		b.wait(fmt.Sprintf(`document.querySelector("dialog.viewer .stage img")?.naturalWidth === %d`, n))
	}
	wide(201)
	right, left := key{"ArrowRight", "ArrowRight", "", 39}, key{"ArrowLeft", "ArrowLeft", "", 37}
	b.keys(right)
	wide(202)
	b.keys(right) // there is none after it
	b.keys(left, left)
	wide(200)
	b.says("1 of 3")
	b.keys(key{"End", "End", "", 35})
	wide(202)
	b.keys(escape)
	b.wait(`!document.querySelector("dialog") && document.activeElement.classList.contains("shot")`)
	b.wait(`document.activeElement.closest("li").querySelector("img").naturalWidth === 201`)
	a.calm()
	b.calm()
}

// A large file shows how far it is; it can be cancelled and gone on with at the
// other side, and given up before it is sent.
func TestProgress(t *testing.T) {
	t.Parallel()
	ann, bob, a, b := friends(t)
	path := filepath.Join(t.TempDir(), "large.dat")
	content := make([]byte, 48<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	staged := func() int { return filesIn(t, filepath.Join(ann.dir, "store", "files")) }

	// Given up in the tray, at once: nothing is left of it.
	a.do(`(() => { window.most = 0; new MutationObserver(() => { const p = document.querySelector(".tray progress"); if (p) { window.most = Math.max(window.most, p.value); window.words = p.parentElement.textContent } }).observe(document.body, { subtree: true, childList: true, attributes: true }) })()`)
	a.pick(path)
	a.wait(`document.querySelector(".tray li")`)
	a.do(`document.querySelector(".tray li button.icon").click()`)
	a.wait(`!document.querySelector(".tray")`)
	until(t, "nothing is left of it", func() bool { return staged() == 0 })
	a.pick(path)
	a.inTray(1)
	a.wait(`window.most > 0 && / of 50(\.\d)? MB/.test(window.words)`)

	// Bob's daemon is away: it waits, and Bob cancels it as soon as he sees it.
	a.press("Send")
	a.wait(`document.querySelector("li[data-message] .chip")`)
	b.wait(`document.querySelector("li[data-message] .chip")`)
	b.wait(`[...document.querySelectorAll("button")].some((x) => /^(Cancel receiving|Save) large.dat$/.test(x.getAttribute("aria-label")))`)
	b.do(`document.querySelector('[aria-label="Cancel receiving large.dat"]')?.click()`)
	b.wait(`document.querySelector('[aria-label="Go on receiving large.dat"], [aria-label="Save large.dat"]')`)
	cancelled := get[bool](b, `!!document.querySelector('[aria-label="Go on receiving large.dat"]')`)
	if cancelled {
		b.picture("files-cancelled")
		b.press("Go on receiving large.dat")
	} else {
		t.Log("it was here before it could be cancelled")
	}
	dir := b.savedTo()
	b.press("Save large.dat")
	if got := b.saved(dir, "large.dat"); sha256.Sum256(got) != sha256.Sum256(content) {
		t.Errorf("%d bytes were saved, or others", len(got))
	}
	if _, f := bob.lastFile("Ann"); f.Size != int64(len(content)) {
		t.Errorf("%d bytes", f.Size)
	}
	if n := staged(); n != 1 {
		t.Errorf("%d files at the sender's, for one that was sent as it was taken in", n)
	}
	a.calm()
	b.calm()
}

// A message with a file that was written while the daemon is away is sent once
// it is back; what it had taken in before is handed in again.
func TestFileWhileAway(t *testing.T) {
	t.Parallel()
	ann, _, a, b := friends(t)
	path := file(t, "a.txt", "kept")
	a.pick(path)
	a.inTray(1)
	ann.kill()
	a.says("Rushlight isn’t running")
	if n := filesIn(t, filepath.Join(ann.dir, "store", "files")); n != 1 {
		t.Errorf("%d files are left by the kill", n)
	}
	a.fill("#composer", "later")
	a.press("Send")
	a.wait(`document.querySelector("li.pending .chip")`)
	ann.start()
	b.says("later")
	dir := b.savedTo()
	b.press("Save a.txt")
	if s := b.saved(dir, "a.txt"); string(s) != "kept" {
		t.Errorf("saved: %q", s)
	}
	until(t, "only the message's is left", func() bool { return filesIn(t, filepath.Join(ann.dir, "store", "files")) == 1 })
	b.wait(`document.querySelectorAll("li[data-message] .chip").length === 1`)
	a.calm()
	b.calm()
}
