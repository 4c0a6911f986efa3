package mailbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"rushlight/storage/shelf"
)

// RelayStatus is how a relay stands. Counts are since it was started; nothing
// in it is about one person or mailbox.
type RelayStatus struct {
	Peer       string   `json:"peer"`
	Addrs      []string `json:"addrs"`
	Time       int64    `json:"time"`
	Peers      int      `json:"peers"`
	Waiting    int64    `json:"waiting"` // fetches
	Draining   bool     `json:"draining"`
	Mailboxes  int64    `json:"mailboxes"`
	Envelopes  int64    `json:"envelopes"`
	Live       int64    `json:"live_bytes"`
	Capacity   int64    `json:"capacity_bytes"`
	Disk       int64    `json:"disk_bytes"`
	DiskCap    int64    `json:"disk_cap_bytes"`
	Room       bool     `json:"room"`
	Deposits   int64    `json:"deposits"`
	Requests   int64    `json:"requests"`
	Refused    int64    `json:"refused"`
	Full       int64    `json:"refused_full"`
	Displaced  int64    `json:"requests_displaced"`
	Busy       int64    `json:"refused_busy"`
	BytesIn    int64    `json:"bytes_in"`
	Fetches    int64    `json:"fetches"`
	Fetched    int64    `json:"envelopes_out"`
	BytesOut   int64    `json:"bytes_out"`
	Commits    int64    `json:"commits"`
	Damaged    int64    `json:"damaged"`
	Erased     int64    `json:"days_erased"`
	Unsent     int64    `json:"unsent"`
	Erasure    string   `json:"erasure"`
	Goroutines int      `json:"goroutines"`
	Heap       uint64   `json:"heap_bytes"`
}

// Status says how the relay stands.
func (r *Relay) Status() RelayStatus {
	s, k := r.shelf.Stats(), &r.keeper.stats
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return RelayStatus{
		Peer: r.PeerID(), Addrs: r.Addrs(), Time: time.Now().Unix(), Peers: len(r.host.Libp2p().Network().Peers()),
		Waiting: k.parked.Load(), Draining: r.keeper.draining.Load(),
		Mailboxes: s.Mailboxes, Envelopes: s.Envelopes, Live: s.Live, Capacity: s.Capacity, Disk: s.Disk, DiskCap: s.DiskCap, Room: s.Room,
		Deposits: s.Deposits, Requests: k.requests.Load(), Refused: k.refused.Load(), Full: s.Refused, Displaced: s.Displaced, Busy: s.Busy,
		BytesIn: s.BytesIn, Fetches: k.fetches.Load(), Fetched: s.Fetched, BytesOut: s.BytesOut, Commits: s.Commits,
		Damaged: s.Damaged, Erased: s.Erased, Unsent: s.Unsent, Erasure: level(s), Goroutines: runtime.NumGoroutine(), Heap: m.HeapInuse,
	}
}

func level(s shelf.Stats) string { return s.Level.Level.String() + ": " + s.Level.Reason }

// metric is one line of what Prometheus reads.
type metric struct {
	name, kind, help string
	value            func(*RelayStatus) float64
}

func number[T int | int64 | uint64](get func(*RelayStatus) T) func(*RelayStatus) float64 {
	return func(s *RelayStatus) float64 { return float64(get(s)) }
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var relayMetrics = []metric{
	{"peers", "gauge", "Peers that are connected.", number(func(s *RelayStatus) int { return s.Peers })},
	{"waiting", "gauge", "Fetches that wait for mail.", number(func(s *RelayStatus) int64 { return s.Waiting })},
	{"mailboxes", "gauge", "Mailboxes whose lease goes on.", number(func(s *RelayStatus) int64 { return s.Mailboxes })},
	{"envelopes", "gauge", "Envelopes that are kept.", number(func(s *RelayStatus) int64 { return s.Envelopes })},
	{"live_bytes", "gauge", "Bytes of these.", number(func(s *RelayStatus) int64 { return s.Live })},
	{"disk_bytes", "gauge", "Bytes that the directory takes.", number(func(s *RelayStatus) int64 { return s.Disk })},
	{"disk_cap_bytes", "gauge", "Bytes that it may take.", number(func(s *RelayStatus) int64 { return s.DiskCap })},
	{"room", "gauge", "1 while envelopes can be stored.", func(s *RelayStatus) float64 { return truth(s.Room) }},
	{"deposits_total", "counter", "Envelopes stored.", number(func(s *RelayStatus) int64 { return s.Deposits })},
	{"requests_total", "counter", "Requests of strangers with enough work.", number(func(s *RelayStatus) int64 { return s.Requests })},
	{"refused_total", "counter", "Deposits refused, for any reason.", number(func(s *RelayStatus) int64 { return s.Refused })},
	{"refused_full_total", "counter", "Deposits refused for want of room.", number(func(s *RelayStatus) int64 { return s.Full })},
	{"refused_busy_total", "counter", "Deposits refused because too many waited.", number(func(s *RelayStatus) int64 { return s.Busy })},
	{"requests_displaced_total", "counter", "Requests displaced by others with more work.", number(func(s *RelayStatus) int64 { return s.Displaced })},
	{"in_bytes_total", "counter", "Bytes of envelopes stored.", number(func(s *RelayStatus) int64 { return s.BytesIn })},
	{"fetches_total", "counter", "Fetches.", number(func(s *RelayStatus) int64 { return s.Fetches })},
	{"out_bytes_total", "counter", "Bytes of envelopes fetched.", number(func(s *RelayStatus) int64 { return s.BytesOut })},
	{"commits_total", "counter", "Commits of the shelf.", number(func(s *RelayStatus) int64 { return s.Commits })},
	{"damaged_total", "counter", "Records that could not be read.", number(func(s *RelayStatus) int64 { return s.Damaged })},
	{"unsent_total", "counter", "Envelopes that their senders took back.", number(func(s *RelayStatus) int64 { return s.Unsent })},
	{"days_erased_total", "counter", "Days whose key was destroyed.", number(func(s *RelayStatus) int64 { return s.Erased })},
	{"goroutines", "gauge", "Goroutines.", number(func(s *RelayStatus) int { return s.Goroutines })},
	{"heap_bytes", "gauge", "Heap in use.", number(func(s *RelayStatus) uint64 { return s.Heap })},
}

// Handler serves /metrics in the text format of Prometheus, and /status as one
// JSON object.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s := r.Status()
		for _, m := range relayMetrics {
			fmt.Fprintf(w, "# HELP rushlight_relay_%s %s\n# TYPE rushlight_relay_%s %s\nrushlight_relay_%s %g\n",
				m.name, m.help, m.name, m.kind, m.name, m.value(&s))
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(r.Status()); err != nil {
			r.log.Debug("the status could not be written", "error", err)
		}
	})
	return mux
}
