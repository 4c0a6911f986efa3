package wheel

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketFor(t *testing.T) {
	base := time.Date(2026, 3, 1, 12, 34, 56, 789, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(1, int64(3*365*24*time.Hour)).Draw(t, "ttl"))
		at := base.Add(time.Duration(rapid.Int64Range(0, int64(3*365*24*time.Hour)).Draw(t, "at")))
		late := BucketEnd(BucketFor(at, ttl)).Sub(at)
		if late < 0 || late >= max(time.Minute, min(ttl/64, 24*time.Hour))+time.Second {
			t.Fatalf("life %v: ends %v late", ttl, late)
		}
	})
	for ttl, step := range map[time.Duration]time.Duration{
		time.Second: time.Minute, time.Hour: time.Minute, 128 * time.Minute: 2 * time.Minute,
		24 * time.Hour: 16 * time.Minute, 7 * 24 * time.Hour: 128 * time.Minute, 365 * 24 * time.Hour: 24 * time.Hour,
	} {
		b := BucketFor(base, ttl)
		if got := BucketEnd(b + 1).Sub(BucketEnd(b)); got != step {
			t.Errorf("life %v: a bucket takes %v, want %v", ttl, got, step)
		}
	}
	exact := time.Unix(6000*60, 0)
	if end := BucketEnd(BucketFor(exact, time.Hour)); !end.Equal(exact) {
		t.Errorf("ends %v, want %v", end, exact)
	}
	if end := BucketEnd(BucketFor(exact.Add(1), time.Hour)); !end.Equal(exact.Add(time.Minute)) {
		t.Errorf("a nanosecond later it ends %v", end)
	}
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<40, 0), time.Unix(1<<62, 0)} {
		if BucketEnd(BucketFor(at, time.Minute)).IsZero() {
			t.Errorf("%v: a bucket without an end", at)
		}
	}
	if far := time.Date(5000, 1, 1, 0, 0, 0, 0, time.UTC); BucketEnd(BucketFor(far, time.Minute)).Before(far) {
		t.Error("a far expiry is too early")
	}
}

func TestOtherBuckets(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := BucketSent(at)
	if BucketSent(at.Add(29*24*time.Hour))-b > 1 || BucketSent(at.Add(30*24*time.Hour)) != b+1 {
		t.Error("not 30 days")
	}
	seen := map[uint32]bool{}
	for _, b := range []uint32{b, BucketState(0), BucketState(1), BucketFor(at, time.Hour), BucketFor(at, 365*24*time.Hour)} {
		if seen[b] {
			t.Error("two buckets have one number")
		}
		seen[b] = true
	}
	if !BucketEnd(b).IsZero() || !BucketEnd(BucketState(7)).IsZero() || !BucketEnd(BucketState(1<<28-1)).IsZero() {
		t.Error("a bucket ends by itself")
	}
}
