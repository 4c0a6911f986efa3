package world

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A contact that claims the addresses of a third party, and is away while there
// is something to say to it, makes a device send that party little: within a
// day no more than firstDay, and on each day after it no more than eachDay,
// whatever it claims. The third party never answers. Control: where the contact
// has answered before, it is called much more often.
func TestThirdPartyIsSpared(t *testing.T) {
	const firstDay, eachDay = 150_000, 30_000 // bytes, with headers
	third := netip.MustParseAddr("9.9.9.9")
	simulateAs(t, 2, func(p *person) {
		if p.n == 1 {
			p.claims = []string{fmt.Sprintf("/ip4/%v/udp/%d/quic-v1", p.w.air.addrOf(p.n).Addr(), port)}
			for i := range 7 {
				p.claims = append(p.claims, fmt.Sprintf("/ip4/%v/udp/%d/quic-v1", third, 53+i))
			}
		}
	}, func(w *world) {
		a, b := w.people[0], w.people[1]
		w.befriend(a, b)
		w.arrive("at its own address", atOnce, w.say(a, b))
		told := w.air.sentBy(b.n)
		b.unplug()
		w.air.move(b.n) // what goes to the old address is counted, too
		own := addrOf(1)
		w.say(a, b)
		day := func(at netip.Addr) int {
			before := w.air.strayTo(at)
			for range 24 {
				time.Sleep(time.Hour)
				w.say(a, b)
			}
			_, bytes := w.air.strayTo(at).since(before)
			return bytes
		}
		before := w.air.strayTo(own).bytes
		first := day(third)
		home := w.air.strayTo(own).bytes - before
		second := day(third)
		t.Logf("%d kB on the first day, %d kB on the second; the contact had exchanged %d kB, and %d kB went to where it was",
			first>>10, second>>10, told.bytes>>10, home>>10)
		if first == 0 || first > firstDay {
			w.fatal("%d bytes went to a third party in a day", first)
		}
		if second > eachDay {
			w.fatal("%d bytes went to a third party on the second day", second)
		}
		if home < 4*firstDay {
			w.fatal("control: %d bytes went to where the contact had answered", home)
		}
	})
}
