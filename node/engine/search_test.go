package engine_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
)

func (d *device) finds(query string, in *device) string {
	d.t.Helper()
	s := engine.Search{Query: query}
	if in != nil {
		s.In = in.Account()
	}
	views, err := d.Search(d.t.Context(), s)
	d.must(err)
	var out []string
	for _, v := range views {
		out = append(out, v.Text)
	}
	return strings.Join(out, "; ")
}

func TestSearch(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	for _, text := range []string{
		"Straße nach Žilina", "CAFÉ au lait", "東京タワーに行く", "ﾄｳｷｮｳ", "שָׁלוֹם עולם", "مُحَمَّد كتـاب", "ＦＵＬＬ width", "İstanbul", "plain text", "안녕하세요",
		"Łódź, Øresund i Đakovo", "Æsir, œuvre, Þór",
	} {
		a.say(b, text)
	}
	old := a.send(b, engine.Send{Text: "before the edit"})
	gone := a.send(b, engine.Send{Text: "taken back soon"})
	burns := a.send(b, engine.Send{Text: "burning words", Life: message.Lifetime{Expiry: 5 * time.Second}})
	a.must(a.Edit(ctx, old, "after the change", nil, nil))
	allSettled(t, a, b)
	a.must(a.Unsend(ctx, gone))
	allSettled(t, a, b)
	for _, d := range []*device{a, b} {
		for query, want := range map[string]string{
			"strasse": "Straße nach Žilina", "zilina": "Straße nach Žilina", "ŽILINA straße": "Straße nach Žilina",
			"cafe": "CAFÉ au lait", "Café": "CAFÉ au lait", "cafe\u0301": "CAFÉ au lait", "東京": "東京タワーに行く", "トウキョウ": "ﾄｳｷｮｳ", "タワー": "東京タワーに行く",
			"שלום": "שָׁלוֹם עולם", "محمد": "مُحَمَّد كتـاب", "كتاب": "مُحَمَّد كتـاب", "full": "ＦＵＬＬ width", "istanbul": "İstanbul",
			"lain tex": "plain text", "안녕": "안녕하세요", "nothing like it": "",
			"lodz": "Łódź, Øresund i Đakovo", "ŁÓDŹ": "Łódź, Øresund i Đakovo", "oresund djakovo": "", "oresund dakovo": "Łódź, Øresund i Đakovo",
			"aesir thor": "Æsir, œuvre, Þór", "Œuvre": "Æsir, œuvre, Þór", "  ": "",
			"before": "", "change": "after the change", "taken": "", "burning": "burning words", "A": a.finds("a", nil),
		} {
			if got := d.finds(query, nil); got != want {
				t.Errorf("%q finds %q instead of %q", query, got, want)
			}
		}
	}
	if got := a.finds("cafe", b); got != "CAFÉ au lait" {
		t.Errorf("in the conversation: %q", got)
	}
	if views, err := a.Search(ctx, engine.Search{Query: "a", Limit: 2}); err != nil || len(views) != 2 || views[0].Text != "after the change" {
		t.Errorf("%+v, %v", views, err)
	}
	eventually(t, func() bool { return a.finds("burning", nil) == "" && b.finds("burning", nil) == "" })
	if _, err := b.Message(burns); err == nil {
		t.Error("it is still there")
	}
}

// filled is a device with a conversation of so many messages; every thousandth
// has the word needle.
func filled(b testing.TB, n int) (d, other *device) {
	b.Helper()
	d, other = newDevice(b, "ann"), newDevice(b, "bob")
	join(b, d, other)
	began := time.Now()
	if err := d.Fill(b.Context(), other.Account(), n, func(i int) string {
		if i%1000 == 500 {
			return fmt.Sprintf("The needle, number %d, in a haystack of words", i)
		}
		accent := ""
		if i%3 == 0 {
			accent = ", Ünïcode now and then"
		}
		return fmt.Sprintf("Message %d says something of ordinary length and then goes on until it ends", i)[:40+i%20] + accent
	}); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d messages written in %v", n, time.Since(began).Round(time.Second))
	return d, other
}

func size(b testing.TB, name string, n int) int {
	b.Helper()
	if s := os.Getenv(name); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	return n
}

// BenchmarkSearch searches 200,000 messages:
//
//	go test ./node/engine -run '^$' -bench Search -benchtime 3x
//
// On two cores: the first hit after 12 to 35 ms at worst, all in 0.6 s at the
// median, and in up to 1.2 s while the database merges what was just written.
func BenchmarkSearch(b *testing.B) {
	n := size(b, "RUSHLIGHT_MESSAGES", 200_000)
	d, other := filled(b, n)
	var first time.Duration
	var all []time.Duration
	d.restart()
	worked := cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		began, found := time.Now(), 0
		if err := d.SearchEach(b.Context(), engine.Search{Query: "NÉEDLE", In: other.Account()}, func(*engine.View) error {
			if found++; found == 1 {
				first = max(first, time.Since(began))
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
		if found != n/1000 {
			b.Fatal("found", found)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-worked).Microseconds())/1000/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(first.Microseconds())/1000, "first-ms")
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "all-ms")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "worst-ms")
}

// BenchmarkHistoryPage opens a page of 50 messages anywhere in a conversation of
// a million:
//
//	RUSHLIGHT_MESSAGES=1000000 go test ./node/engine -run '^$' -bench HistoryPage -benchtime 300x
//
// On two shared cores: 1.3 ms of processor time.
func BenchmarkHistoryPage(b *testing.B) {
	n := size(b, "RUSHLIGHT_MESSAGES", 50_000)
	d, other := filled(b, n)
	var ids []message.ID
	if err := d.SearchEach(b.Context(), engine.Search{Query: "needle"}, func(v *engine.View) error { ids = append(ids, v.ID); return nil }); err != nil {
		b.Fatal(err)
	}
	var worst time.Duration
	i := 0
	worked := cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		began := time.Now()
		views, err := d.Read(b.Context(), engine.Read{With: other.Account(), Before: ids[(i*37)%len(ids)], Limit: 50, Peek: true})
		if err != nil || len(views) != 50 {
			b.Fatal(len(views), err)
		}
		worst = max(worst, time.Since(began))
		i++
	}
	b.ReportMetric(float64((cpuTime(b)-worked).Microseconds())/1000/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}

// TestMemoryStaysTheSame compares the memory that a device holds on to with a
// short history and with a long one, after it was searched and looked at. The
// difference is what caches of a fixed size take that the short one doesn't
// fill. With a million messages:
//
//	RUSHLIGHT_MESSAGES=1000000 go test ./node/engine -run TestMemoryStaysTheSame -timeout 1h -v
//
// The heap is then 34 MiB after a collection, and 25 MiB with ten thousand.
func TestMemoryStaysTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory")
	}
	n := size(t, "RUSHLIGHT_MESSAGES", 10_000)
	held := func(t *testing.T, n int) (heap uint64) {
		d, other := filled(t, n)
		d.restart()
		views, err := d.Search(t.Context(), engine.Search{Query: "needle", In: other.Account()})
		if err != nil || len(views) != n/1000 {
			t.Fatal(len(views), err)
		}
		for _, v := range views {
			if _, err := d.Read(t.Context(), engine.Read{With: other.Account(), Before: v.ID, Limit: 50, Peek: true}); err != nil {
				t.Fatal(err)
			}
		}
		var m runtime.MemStats
		heap = math.MaxUint64
		for range 3 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			heap = min(heap, m.HeapAlloc)
		}
		runtime.KeepAlive(d)
		return heap
	}
	var short, long uint64
	t.Run("short", func(t *testing.T) { short = held(t, min(10_000, n/10)) })
	t.Run("long", func(t *testing.T) { long = held(t, n) })
	t.Logf("%d messages: %.1f MiB; a tenth or less: %.1f MiB", n, float64(long)/(1<<20), float64(short)/(1<<20))
	const caches = 16 << 20
	if long > short+caches {
		t.Errorf("%d MiB more are held with %d messages than with few", (long-short)>>20, n)
	}
}
