//go:build linux

package browser_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// figures measures what is promised of the page, which needs a machine that does
// nothing else:
//
//	go test ./node/web/browser -run Figures -figures
var figures = flag.Bool("figures", false, "hold the page to its figures")

// From a key press to the message on the other page, how long the page takes to
// show something, and what the daemon spends on a page that is only open.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("measures: say -figures on a machine that does nothing else")
	}
	ann, _, a, b := friends(t)
	a.write("warm")
	b.says("warm")

	// Both pages note the time: of the key, and of the next picture with the
	// message in it.
	a.do(`document.querySelector("#composer").addEventListener("keydown", (e) => { if (e.key === "Enter") window.pressed = performance.timeOrigin + performance.now() }, true)`)
	b.do(`new MutationObserver(() => {
		const last = [...document.querySelectorAll("li[data-message] .text")].at(-1)?.textContent
		if (last !== window.last) { window.last = last; requestAnimationFrame(() => { window.seen = { text: last, at: performance.timeOrigin + performance.now() } }) }
	}).observe(document.querySelector(".log ol"), { childList: true, subtree: true })`)
	var took []float64
	for i := range 60 {
		text := "number " + strconv.Itoa(i)
		a.fill("#composer", text)
		a.keys(enter)
		b.wait(`window.seen?.text === ` + quote(text))
		took = append(took, get[float64](b, "window.seen.at")-get[float64](a, "window.pressed"))
	}
	slices.Sort(took)
	t.Logf("key press to other page: p50 %.1f ms, p90 %.1f ms", took[len(took)/2], took[len(took)*9/10])
	if took[len(took)/2] > 50 {
		t.Errorf("p50 is above 50 ms")
	}

	var paints []float64
	for range 7 {
		a.reload()
		a.wait(`document.querySelector(".shell") && performance.getEntriesByName("first-contentful-paint").length > 0`)
		paints = append(paints, get[float64](a, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
	}
	slices.Sort(paints)
	t.Logf("first paint: %.0f ms, at worst %.0f ms", paints[len(paints)/2], paints[len(paints)-1])
	if paints[len(paints)/2] > 300 {
		t.Errorf("the first paint comes after more than 300 ms")
	}

	const idle = 60 * time.Second
	before := processor(t, ann.cmd.Process.Pid)
	timer := time.NewTimer(idle)
	<-timer.C
	spent := processor(t, ann.cmd.Process.Pid) - before
	share := 100 * spent.Seconds() / idle.Seconds()
	t.Logf("the daemon with one idle page: %.2f %% of a core", share)
	if share > 0.5 {
		t.Errorf("more than 0.5 %%")
	}
}

// processor is the CPU time that a process has used.
func processor(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		t.Fatal("the kernel's numbers can't be read")
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
