package attacker

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"

	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

// seen is what a relay's disk says of one envelope.
type seen struct {
	box      uint64
	seq      uint64
	commit   uint64 // of the database
	day, exp uint16
	lane     bool
	serial   int // of the stamp; -1 when the disk doesn't say
	record   int // bytes
	envelope []byte
	object   [16]byte
}

// What the operator derives from the key file (spec §2.3).
const (
	labelShelf suite.Label = "rushlight/mailbox/relay-shelf/1"
	labelHost  suite.Label = "rushlight/mailbox/relay-host/1"
)

// seize stops the relay and reads everything that its disk has, in the order
// of the mailboxes and of arrival. It leaves in opened what its keys say of some
// stamps.
func (r *relay) seize(stamps ...stamp.Stamp) (all []seen) {
	l := r.l
	l.t.Helper()
	r.stop()
	root, err := os.ReadFile(filepath.Join(r.cfg.Dir, "key"))
	l.must(err)
	dir := filepath.Join(r.cfg.Dir, "shelf")
	serials := map[uint64]map[[8]byte]int{}
	type place struct{ box, seq uint64 }
	raw := map[place]seen{}
	var boxes []uint64
	dump(l, dir, func(key, value []byte, commit uint64) {
		switch key[0] {
		case 'b':
			boxes = append(boxes, binary.BigEndian.Uint64(key[1:]))
		case 'p':
			box, page := binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint32(key[9:])
			if serials[box] == nil {
				serials[box] = map[[8]byte]int{}
			}
			for at := 8; at+13 <= len(value); at += 13 { // slot ‖ day ‖ last day ‖ object[8]
				serials[box][[8]byte(value[at+5:])] = int(page)*64 + int(value[at])
			}
		case 'e':
			at := place{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])}
			raw[at] = seen{box: at.box, seq: at.seq, commit: commit, exp: binary.BigEndian.Uint16(value[1:]), record: len(value)}
		}
	})
	o := r.cfg.Shelf
	o.Dir, o.Root = dir, [32]byte(suite.Derive(root, nil, 32, labelShelf))
	o.Key = ed25519.NewKeyFromSeed(suite.Derive(root, nil, 32, labelHost))
	s, err := shelf.Open(o)
	l.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for _, st := range stamps {
		t, refused := s.OpenStamp(&st)
		if refused != nil {
			l.t.Fatal(refused)
		}
		r.opened = append(r.opened, t)
	}
	for _, box := range boxes {
		_, err := s.Fetch(box, 0, math.MaxInt, func(e *wire.Env) error {
			x := raw[place{box, e.Seq}]
			x.day, x.lane, x.envelope = e.Day, e.Lane, slices.Clone(e.Envelope)
			x.object = wire.Object(x.envelope)
			x.serial = -1
			if n, ok := serials[box][[8]byte(x.object[:8])]; ok {
				x.serial = n
			}
			all = append(all, x)
			return nil
		})
		l.must(err)
	}
	cancel()
	l.must(errors.Join(<-ended, s.Close()))
	slices.SortFunc(all, func(a, b seen) int { return cmp.Or(cmp.Compare(a.box, b.box), cmp.Compare(a.seq, b.seq)) })
	return all
}

// features are what can be seen of each envelope of a disk, with the numbers of
// stamps, by mailbox, that are known to be somebody else's.
func features(disk []seen, known map[uint64][]int) (out [][]float64) {
	together := map[uint64]int{}
	for _, x := range disk {
		together[x.commit]++
	}
	for i, x := range disk {
		var before seen
		if i > 0 && disk[i-1].box == x.box {
			before = disk[i-1]
		}
		ones, zeros := 0, 0
		for _, b := range x.envelope {
			ones += bits.OnesCount8(b)
			if b == 0 {
				zeros++
			}
		}
		beside := math.MaxInt32
		for _, n := range known[x.box] {
			beside = min(beside, max(n-x.serial, x.serial-n))
		}
		f := []float64{
			float64(x.serial % 64), float64(x.serial % 1024), float64(x.serial - before.serial), float64(beside),
			float64(x.record), float64(x.exp), float64(x.day), float64(len(x.envelope)), float64(ones), float64(zeros),
			float64(x.commit - before.commit), float64(together[x.commit]), float64(x.seq),
		}
		for _, b := range slices.Concat(x.envelope[:4], x.envelope[16:20], x.envelope[32:36], x.envelope[len(x.envelope)-2:]) {
			f = append(f, float64(b))
		}
		out = append(out, f)
	}
	return out
}

// dump reads every record of a shelf that isn't open.
func dump(l *lab, dir string, each func(key, value []byte, commit uint64)) {
	l.t.Helper()
	none := 0
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "db")).WithLogger(nil).WithExternalMagic(1).
		WithNumCompactors(none).WithNumLevelZeroTablesStall(math.MaxInt32).WithMemTableSize(8 << 20).WithValueThreshold(65 << 10))
	l.must(err)
	l.must(db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			each(item.KeyCopy(nil), value, item.Version())
		}
		return nil
	}))
	l.must(db.Close())
}
