package discovery

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"rushlight/protocol/beacon"
)

// The namespaces of the hash table (spec §14.1); there is no other.
const (
	spaceRelay  = "rushlight-relay"
	spaceBeacon = "rushlight-beacon"
)

var errRecord = errors.New("discovery: not a record for this table")

// BeaconKey is the key of a beacon in the hash table.
func BeaconKey(k beacon.Key) string { return "/" + spaceBeacon + "/" + string(k[:]) }

// Validator decides about the records of one namespace. The key is what
// follows the namespace.
type Validator interface {
	// Check refuses a record that must not be kept.
	Check(key, value []byte, now time.Time) error
	// Better reports whether a should replace b; both were checked.
	Better(a, b []byte) bool
}

type beacons struct{}

func (beacons) Check(key, value []byte, now time.Time) error {
	if len(key) != len(beacon.Key{}) {
		return beacon.ErrKey
	}
	return beacon.Check(beacon.Key(key), value, now)
}

func (beacons) Better(a, b []byte) bool { return beacon.Better(a, b) }

// none refuses every record of its namespace.
type none struct{}

func (none) Check([]byte, []byte, time.Time) error { return errRecord }
func (none) Better([]byte, []byte) bool            { return false }

// validator makes a Validator the table's, and counts who returned what this
// node is reading back.
type validator struct {
	space string
	v     Validator

	mu      sync.Mutex
	waiting map[string]*copies // by key
}

// copies counts how often a value, or a better one, was returned.
type copies struct {
	value []byte
	n     int
}

var _ record.Validator = (*validator)(nil)

// Validate implements [record.Validator].
func (v *validator) Validate(key string, value []byte) error {
	rest, ok := strings.CutPrefix(key, "/"+v.space+"/")
	if !ok {
		return errRecord
	}
	if err := v.v.Check([]byte(rest), value, time.Now()); err != nil {
		return fmt.Errorf("discovery: refusing a record: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.waiting[key]; c != nil && !v.v.Better(c.value, value) {
		c.n++
	}
	return nil
}

// Select implements [record.Validator]: the best one that is valid.
func (v *validator) Select(key string, values [][]byte) (int, error) {
	rest, _ := strings.CutPrefix(key, "/"+v.space+"/")
	best := -1
	for i, b := range values {
		if v.v.Check([]byte(rest), b, time.Now()) == nil && (best < 0 || v.v.Better(b, values[best])) {
			best = i
		}
	}
	if best < 0 {
		return 0, errRecord
	}
	return best, nil
}

// expect counts from now on who returns the value, until the function it
// returns is called, which says how many did.
func (v *validator) expect(key string, value []byte) (done func() int) {
	c := &copies{value: value}
	v.mu.Lock()
	v.waiting[key] = c
	v.mu.Unlock()
	return func() int {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.waiting[key] == c {
			delete(v.waiting, key)
		}
		return c.n
	}
}
