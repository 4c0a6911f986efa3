package node

import (
	"sync"
	"time"

	"rushlight/node/api"
)

// day remembers by the hour what was used since the start, so that the last 24
// hours can be told.
type day struct {
	mu   sync.Mutex
	list []sample
}

type sample struct {
	at      time.Time
	in, out int64
	cpu     time.Duration
}

// note keeps one sample an hour.
func (d *day) note(s sample) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.list); n > 0 && s.at.Sub(d.list[n-1].at) < time.Hour {
		return
	}
	d.list = append(d.list, s)
	if len(d.list) > 26 {
		d.list = d.list[1:]
	}
}

// used is what was used in the day before a sample, give or take an hour, or
// since the start.
func (d *day) used(s sample, started time.Time) api.Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	from := sample{at: started}
	for _, e := range d.list {
		if s.at.Sub(e.at) >= 24*time.Hour {
			from = e
		}
	}
	return api.Usage{
		In: s.in - from.in, Out: s.out - from.out, CPU: (s.cpu - from.cpu).Seconds(), Hours: s.at.Sub(from.at).Hours(),
	}
}
