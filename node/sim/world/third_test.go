package world

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A contact that claims the addresses of a third party, and is away while there
// is something to say to it, makes a device send that party no more than it has
// sent itself: neither on the first day nor on any after it, nor in all of them,
// though the device starts anew every day.
// The third party never answers. Control: where the contact has answered
// before, it is called much more often.
func TestThirdPartyIsSpared(t *testing.T) {
	const days = 4
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
		told := w.air.saidBy(b.n)
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
		total := first
		for n := 2; n <= days; n++ {
			a.halt() // which makes nothing good
			a.start()
			more := day(third)
			total += more
			t.Logf("day %d: %d bytes to the third party", n, more)
		}
		t.Logf("%d bytes on the first day, %d in %d days; the contact had sent %d, and %d kB went to where it was: a factor of %.2f",
			first, total, days, told.bytes, home>>10, float64(total)/float64(told.bytes))
		if first == 0 || total > told.bytes {
			w.fatal("%d bytes went to a third party in a day, %d in %d, for %d of the contact's", first, total, days, told.bytes)
		}
		if home < 4*first || home < 4*told.bytes {
			w.fatal("control: %d bytes went to where the contact had answered", home)
		}
	})
}
