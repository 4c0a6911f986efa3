//go:build linux

package browser_test

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// What goes out is stopped by its sender, who is told first what that means: the
// message is taken back, whether its files wait or are on their way.
func TestStopSending(t *testing.T) {
	t.Parallel()
	ann, bob, a, b := friends(t)
	path := filepath.Join(t.TempDir(), "large.dat")
	content := make([]byte, 48<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	files := func(d *daemon) int { return filesIn(t, filepath.Join(d.dir, "store", "files")) }
	const stop = `[aria-label="Stop sending large.dat"]`

	// Bob isn't there: it waits, and nothing of it is left on either side.
	bob.stop()
	a.pick(path)
	a.inTray(1)
	a.fill("#composer", "not this one")
	a.keys(enter)
	a.wait(`document.querySelector('li[data-message] ` + stop + `')`)
	a.press("Stop sending large.dat")
	a.says("The whole message is taken back")
	a.looks("stop-sending")
	a.press("Cancel")
	a.wait(`!document.querySelector("dialog") && ` + message("not this one"))
	a.press("Stop sending large.dat")
	a.press("Take it back")
	a.says("You took this message back.")
	until(t, "Ann has nothing of it", func() bool { return files(ann) == 0 })
	bob.start()
	a.write("this one")
	b.says("this one")
	b.gone("not this one")

	// Bob is there: it is stopped on its way.
	a.do(`new MutationObserver((_, me) => {
		const x = document.querySelector('li[data-message] ` + stop + `')
		if (x) { me.disconnect(); x.click() }
	}).observe(document.body, { subtree: true, childList: true })`)
	a.pick(path)
	a.inTray(1)
	a.fill("#composer", "nor this one")
	a.keys(enter)
	b.wait(message("nor this one"))
	a.wait(`document.querySelector("dialog[open]") || !document.querySelector('` + stop + `')`)
	if get[bool](a, `!!document.querySelector("dialog[open]")`) {
		a.press("Take it back")
		b.gone("nor this one")
		until(t, "nobody has anything of it", func() bool { return files(ann) == 0 && files(bob) == 0 })
	} else {
		t.Log("it was there before it could be stopped")
	}
	a.calm()
	b.calm()
}

// The words that go with files are changed as any others, and the files stay.
func TestCaption(t *testing.T) {
	t.Parallel()
	_, _, a, b := friends(t)
	path := file(t, "list.txt", "bread")
	a.pick(path)
	a.inTray(1)
	a.fill("#composer", "for Sunday")
	a.keys(enter)
	b.says("for Sunday")
	a.menuOf("for Sunday")
	a.press("Edit")
	a.wait(`document.querySelector("#composer").value === "for Sunday"`)
	a.fill("#composer", "for *Saturday*")
	a.keys(enter)
	for _, p := range []*page{a, b} {
		p.wait(message("for Saturday") + `.querySelector(".chip .name").textContent === "list.txt"`)
		p.says("edited")
	}
	saves := b.savedTo()
	b.press("Save list.txt")
	if got := b.saved(saves, "list.txt"); sha256.Sum256(got) != sha256.Sum256([]byte("bread")) {
		t.Errorf("saved: %q", got)
	}

	// Words can be put to a file that came without; by the key, and by arrow up.
	a.pick(path)
	a.inTray(1)
	a.press("Send")
	b.wait(`document.querySelectorAll("li[data-message] .chip").length === 2`)
	a.focus("#composer")
	a.keys(arrowUp)
	a.wait(`document.querySelector(".about")`)
	a.fill("#composer", "and for Monday")
	a.keys(enter)
	b.wait(message("and for Monday") + `.querySelector(".chip")`)
	a.calm()
	b.calm()
}
