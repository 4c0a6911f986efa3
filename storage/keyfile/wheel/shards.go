package wheel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/twoslot"
)

const (
	shareSize   = 4 + 32
	sharesAFile = (twoslot.MaxBody - len(magicShards)) / shareSize
	maxShards   = 1 << 10
)

// shares maps buckets to their second half, which stands unsealed on the disk
// so that a daemon without the kek can destroy it.
type shares map[uint32][32]byte

// A record of shares is magic ‖ (bucket u32 ‖ share[32])*, ascending.
func (s shares) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, len(magicShards)+len(s)*shareSize)).Raw(magicShards[:])
	for _, id := range slices.Sorted(maps.Keys(s)) {
		share := s[id]
		w.U32(id).Raw(share[:])
	}
	return w.Out()
}

func parseShares(b []byte) (shares, error) {
	r := wire.NewReader(b)
	if err := readMagic(r, magicShards); err != nil {
		return nil, err
	}
	s := make(shares)
	last := int64(-1)
	for r.Err() == nil && r.Len() > 0 {
		id := r.U32()
		if int64(id) <= last {
			r.Fail("shares out of order")
		}
		last = int64(id)
		s[id] = r.A32()
	}
	if err := r.Close(); err != nil {
		return nil, corrupt("shards", err)
	}
	return s, nil
}

// shardFile is one two-slot file of shares.
type shardFile struct {
	file   slotFile
	shares shares
}

// openShards opens the files of shares, changing nothing. It stops at the
// first number that isn't there.
func openShards(d disk) (files []*shardFile, err error) {
	for n := range maxShards {
		f, err := d.openSlots(shardsName(n))
		if errors.Is(err, fs.ErrNotExist) {
			return files, nil
		}
		if err == nil {
			var s shares
			if s, err = parseShares(f.Body()); err == nil {
				files = append(files, &shardFile{f, s})
				continue
			}
			_ = f.Close()
		}
		closeShards(files)
		if errors.Is(err, twoslot.ErrDamaged) {
			return nil, corrupt("shards", err)
		}
		return nil, fmt.Errorf("wheel: opening shares: %w", err)
	}
	closeShards(files)
	return nil, fmt.Errorf("%w: shards: too many", ErrCorrupt)
}

func closeShards(files []*shardFile) {
	for _, f := range files {
		_ = f.file.Close()
		clear(f.shares)
	}
}

// update removes shares for good, and adds others; the file is left alone when
// there is nothing to do.
func (f *shardFile) update(gone func(bucket uint32) bool, add shares) error {
	before := len(f.shares)
	maps.DeleteFunc(f.shares, func(id uint32, _ [32]byte) bool { return gone(id) })
	removed := len(f.shares) < before
	maps.Copy(f.shares, add)
	if removed || len(add) > 0 {
		if err := f.file.Replace(f.shares.marshal()); err != nil {
			return fmt.Errorf("wheel: writing shares: %w", err)
		}
	}
	if len(add) > 0 && !removed {
		return nil // the older record has nothing that must go
	}
	return f.finish()
}

// finish overwrites an older record that is still there.
func (f *shardFile) finish() error {
	if !f.file.Older() {
		return nil
	}
	if err := f.file.Scrub(); err != nil {
		return fmt.Errorf("wheel: erasing shares: %w", err)
	}
	return nil
}

// addShares makes shares for new buckets durable, and removes those of buckets
// that are gone.
func (w *Wheel) addShares(fresh shares) error {
	ids := slices.Sorted(maps.Keys(fresh))
	take := func(n int) shares {
		s := make(shares, n)
		for _, id := range ids[:n] {
			s[id] = fresh[id]
		}
		ids = ids[n:]
		return s
	}
	gone := func(id uint32) bool { return w.buckets[id] == nil }
	for _, f := range w.shards {
		live := 0
		for id := range f.shares {
			if !gone(id) {
				live++
			}
		}
		if err := f.update(gone, take(min(len(ids), sharesAFile-live))); err != nil {
			return err
		}
	}
	for len(ids) > 0 {
		if len(w.shards) == maxShards {
			return errors.New("too many buckets")
		}
		s := take(min(len(ids), sharesAFile))
		f, err := w.disk.createSlots(shardsName(len(w.shards)), s.marshal())
		if err != nil {
			return fmt.Errorf("adding shares: %w", err)
		}
		w.shards = append(w.shards, &shardFile{f, s})
	}
	return nil
}

func newShare() (s [32]byte) {
	suite.Random(s[:])
	return s
}

// Shards returns the buckets that have a share, ascending, without the kek. A
// locked daemon finds with [BucketEnd] which of them are due.
func Shards(dir string) ([]uint32, error) {
	return listShards(directory(dir))
}

func listShards(d disk) (out []uint32, err error) {
	release, err := d.lock()
	if err != nil {
		return nil, fmt.Errorf("wheel: locking: %w", err)
	}
	defer func() { _ = release() }()
	files, err := openShards(d)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		out = slices.AppendSeq(out, maps.Keys(f.shares))
	}
	closeShards(files)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// ScrubShards destroys buckets without the kek: their shares are overwritten,
// and so no key of theirs can be worked out again; the next Open removes the
// rest. Buckets without a share are done already. After an error some are
// destroyed; call it again. [ErrLocked] while the wheel is open.
func ScrubShards(dir string, buckets ...uint32) error {
	return scrubShards(directory(dir), buckets)
}

func scrubShards(d disk, buckets []uint32) error {
	release, err := d.lock()
	if err != nil {
		return fmt.Errorf("wheel: locking: %w", err)
	}
	defer func() { _ = release() }()
	files, err := openShards(d)
	if err != nil {
		return err
	}
	defer closeShards(files)
	gone := make(map[uint32]bool, len(buckets))
	for _, id := range buckets {
		gone[id] = true
	}
	var errs []error
	for _, f := range files {
		errs = append(errs, f.update(func(id uint32) bool { return gone[id] }, nil))
	}
	return errors.Join(errs...)
}
