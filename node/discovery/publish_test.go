package discovery

import (
	"slices"
	"testing"
	"time"
)

// A beacon with few copies is put again soon, three times, and so is the next
// one: what became of the one before doesn't count.
func TestPoorlyPlacedIsPutAgain(t *testing.T) {
	now := time.Now()
	const later = time.Hour
	var p publication
	put := func(rev, copies int) time.Duration {
		p.begin(rev)
		p.placed(copies, now, now.Add(later))
		return p.next.Sub(now)
	}
	waits := []time.Duration{
		put(1, 1), put(1, 2), put(1, 0), put(1, 2), // it is given up
		put(2, 1), put(3, 1), // something new each time
		put(3, 1), put(3, enoughCopies), put(4, 2),
	}
	want := []time.Duration{
		15 * time.Second, time.Minute, 4 * time.Minute, later,
		15 * time.Second, 15 * time.Second,
		time.Minute, later, 15 * time.Second,
	}
	if !slices.Equal(waits, want) {
		t.Errorf("put again after %v, want %v", waits, want)
	}
	if p.begin(4); !p.full {
		t.Error("what has few copies is not put whole")
	}
}
