//go:build linux

package browser_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A voice memo: recorded on one page with the keyboard, drawn and played on the
// other, and telling nothing beside what was said.
func TestVoiceMemo(t *testing.T) {
	t.Parallel()
	_, bob, a, b := friends(t)
	// What the browser's recorder makes is kept, for the control.
	a.do(`(() => { const send = XMLHttpRequest.prototype.send; XMLHttpRequest.prototype.send = function (x) { if (x instanceof Blob) x.text().then((s) => { window.raw = s }); return send.call(this, x) } })()`)
	a.focus(`[aria-label="Record a voice memo"]`)
	a.keys(enter)
	a.wait(`document.querySelector(".recorder [role=timer]")?.textContent >= "0:02"`)
	a.picture("voice-recording")
	a.wait(`document.activeElement.getAttribute("aria-label") === "Send the recording"`)
	a.keys(enter)
	a.wait(`document.activeElement.id === "composer"`)
	for _, p := range []*page{a, b} {
		p.wait(`document.querySelectorAll("li[data-message] .player .wave rect").length > 20`)
	}
	b.picture("voice")
	_, f := bob.lastFile("Ann")
	if f.Voice == nil || f.Voice.Duration < 1900 || f.Voice.Duration > 60_000 || bytes.Count(f.Voice.Wave, []byte{255}) == 0 || len(f.Voice.Wave) > 64 {
		t.Fatalf("the recording: %+v", f.Voice)
	}
	// The fake microphone beeps: there is something loud, and something quiet.
	if low := bytes.IndexFunc(f.Voice.Wave, func(r rune) bool { return r < 40 }); low < 0 {
		t.Errorf("it is always loud: %v", f.Voice.Wave)
	}

	b.focus(`[aria-label="Play Voice memo"]`)
	b.keys(enter)
	b.wait(`document.querySelector(".player audio").currentTime > 0.2`)
	b.wait(`document.querySelector(".player audio").ended || document.querySelector(".player audio").currentTime > 1`)
	b.wait(`document.querySelector(".player audio").ended`)

	dir := b.savedTo()
	b.press("Save Voice memo")
	got := b.saved(dir, f.SaveAs)
	if !strings.Contains(a.text("window.raw"), "Chrome") {
		t.Error("the control: the recorder doesn't say what it is")
	}
	if bytes.Contains(got, []byte("Chrome")) || bytes.Contains(got, []byte("Lavf")) {
		t.Error("the recording says what made it")
	}
	if path, err := exec.LookPath("exiftool"); err == nil {
		out, err := exec.Command(path, "-s", "-MuxingApp", "-WritingApp", "-DateTimeOriginal", "-Title", "-Tags:all", filepath.Join(dir, f.SaveAs)).Output()
		if err != nil || strings.Contains(strings.ToLower(string(out)), "chrom") || strings.Contains(string(out), "Date") {
			t.Errorf("exiftool finds %s (%v)", out, err)
		}
	}
	a.calm()
	b.calm()
}

// A memo can be listened to, thrown away, and ends by itself after ten minutes.
func TestVoiceMemoEnds(t *testing.T) {
	t.Parallel()
	ann, _, a, _ := friends(t)
	a.focus(`[aria-label="Record a voice memo"]`)
	a.keys(enter)
	a.wait(`document.querySelector(".recorder [role=timer]")?.textContent >= "0:01"`)
	// Ten minutes pass.
	a.do(`(() => { const now = performance.now.bind(performance); performance.now = () => now() + 599_000 })()`)
	a.wait(`document.querySelector(".recorder .play audio")?.src.startsWith("blob:")`)
	a.wait(`document.querySelector(".recorder .play").textContent.includes("10:00")`)
	a.focus(`.recorder [aria-label="Play Voice memo"]`)
	a.keys(enter)
	a.wait(`document.querySelector(".recorder audio").currentTime > 0.2`)
	a.looks("voice-done")
	a.press("Throw the recording away")
	a.wait(`!document.querySelector(".recorder") && document.querySelector("#composer")`)
	if list, err := os.ReadDir(filepath.Join(ann.dir, "store", "files")); err == nil && len(list) > 0 {
		t.Errorf("%d files of what was thrown away", len(list))
	}
	a.calm()
}
