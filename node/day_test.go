package node

import (
	"testing"
	"time"
)

func TestDay(t *testing.T) {
	start := time.Unix(1e9, 0)
	var d day
	for i := range 72 * 60 {
		s := sample{at: start.Add(time.Duration(i) * time.Minute), in: int64(i), out: 2 * int64(i), cpu: time.Duration(i) * time.Second}
		d.note(s)
		u := d.used(s, start)
		switch {
		case i < 24*60 && u.In != int64(i):
			t.Fatalf("after %d minutes: %+v", i, u)
		case i >= 24*60 && (u.Hours < 24 || u.Hours > 25 || u.In != int64(u.Hours*60+0.5) || u.Out != 2*u.In || u.CPU != float64(u.In)):
			t.Fatalf("after %d minutes: %+v", i, u)
		}
	}
}
