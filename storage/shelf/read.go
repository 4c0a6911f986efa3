package shelf

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
)

var errRecord = errors.New("shelf: an envelope's record is damaged")

// has reports whether a stored value can still be opened.
func (s *dayState) has(value []byte) bool {
	return len(value) >= clearHead && s.keys[uint16(value[1])<<8|uint16(value[2])] != nil
}

// scan calls fn for each record of a mailbox's log after a number, ascending,
// until fn returns false. at and value are good during the call.
func (s *Shelf) scan(handle, after uint64, fn func(seq uint64, at []byte, value func() ([]byte, error)) (bool, error)) error {
	err := s.view(func(tx *badger.Txn) error {
		prefix := keyEnvs(handle)
		it := tx.NewIterator(badger.IteratorOptions{PrefetchValues: false, Prefix: prefix})
		defer it.Close()
		if after == 1<<64-1 {
			return nil
		}
		var stored []byte
		for it.Seek(keyEnv(handle, after+1)); it.Valid(); it.Next() {
			item := it.Item()
			at := item.Key()
			more, err := fn(seqOf(at), at, func() ([]byte, error) {
				err := item.Value(func(v []byte) error { stored = v; return nil })
				if err != nil {
					return nil, fmt.Errorf("%w: %w", errRecord, err)
				}
				return stored, nil
			})
			if err != nil || !more {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, badger.ErrDBClosed) {
		return ErrClosed
	}
	return err
}

// Fetch calls each for the envelopes of a mailbox after a number, ascending,
// up to a sum of their lengths, which the first may exceed. The envelope is
// the callee's to keep. What can't be read any more is left out.
func (s *Shelf) Fetch(handle, after uint64, most int, each func(*mailbox.Env) error) (end mailbox.End, err error) {
	end = mailbox.End{Next: after, Batch: s.batch.Load()}
	day := s.day.Load()
	sum := 0
	err = s.scan(handle, after, func(seq uint64, at []byte, value func() ([]byte, error)) (bool, error) {
		raw, err := value()
		if err != nil {
			return false, err
		}
		o, ok := s.read(day, at, raw)
		if !ok {
			end.Next = seq
			return true, nil
		}
		if sum > 0 && sum+len(o.envelope) > most {
			end.More = true
			return false, nil
		}
		sum += len(o.envelope)
		end.Next = seq
		s.stats.fetched.Add(1)
		s.stats.bytesOut.Add(int64(len(o.envelope)))
		return true, each(&mailbox.Env{Seq: seq, Day: o.day, Lane: o.lane, Envelope: o.envelope})
	})
	return end, err
}

// read opens a value, and counts it when it is damaged.
func (s *Shelf) read(day *dayState, at, raw []byte) (o opened, ok bool) {
	o, found := day.open(at, raw)
	if found == damaged {
		s.stats.damaged.Add(1)
	}
	return o, found == intact
}

// Tags returns the tags of the envelopes of a mailbox after a number.
func (s *Shelf) Tags(handle, after uint64, most int) (out mailbox.Tags, err error) {
	out.Next = after
	day := s.day.Load()
	err = s.scan(handle, after, func(seq uint64, at []byte, value func() ([]byte, error)) (bool, error) {
		raw, err := value()
		if err != nil {
			return false, err
		}
		o, ok := s.read(day, at, raw)
		if !ok {
			out.Next = seq
			return true, nil
		}
		if len(out.Tags) == most {
			out.More = true
			return false, nil
		}
		out.Next = seq
		out.Tags = append(out.Tags, mailbox.Tag{Seq: seq, Tag: envelope.TagOf(o.envelope)})
		return true, nil
	})
	return out, err
}

// Erase deletes every envelope with an id, wherever it is, and returns
// how many there were. It reads the whole shelf: it is for an operator who
// acts on a notice.
func (s *Shelf) Erase(object [16]byte) (n int, err error) {
	day := s.day.Load()
	type place struct {
		handle uint64
		victim
	}
	var found []place
	err = s.view(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 100, Prefix: []byte{famEnv}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			at := it.Item().Key()
			err := it.Item().Value(func(raw []byte) error {
				o, ok := s.read(day, at, raw)
				if ok && mailbox.Object(o.envelope) == object {
					h, err := parseHandle(at[1:9])
					if err != nil {
						return err
					}
					found = append(found, place{h, victim{seqOf(at), uint16(raw[1])<<8 | uint16(raw[2]), len(o.envelope), o.lane}})
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("shelf: reading: %w", err)
			}
		}
		return nil
	})
	for _, p := range found {
		if err != nil {
			break
		}
		var k int
		k, err = s.remove(p.handle, []victim{p.victim})
		n += k
	}
	return n, err
}
