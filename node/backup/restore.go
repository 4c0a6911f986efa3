package backup

import (
	"fmt"
	"io"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/record"
)

// Restore writes a backup into an empty store, as a new device of the account;
// the recovery code opens the account key that admits it. The devices that the
// account had are revoked. Call [Verify] first: after an error the store is
// half full, and to be thrown away.
func Restore(r io.Reader, slot []byte, key [32]byte, store *storage.Store, code identity.RecoveryCode, now time.Time) (Summary, error) {
	in := &restore{store: store, code: code, now: now}
	p := &parser{into: in}
	s, err := p.run(r, slot, key)
	if err == nil {
		err = in.flush()
	}
	if err != nil {
		return Summary{}, fmt.Errorf("backup: restoring: %w", err)
	}
	return s, nil
}

// restore is the sink that writes, some hundred records in one transaction.
type restore struct {
	store *storage.Store
	code  identity.RecoveryCode
	now   time.Time

	with   *record.Contact
	conv   message.ConversationID
	past   *past
	tombs  uint64 // in this conversation
	puts   []func(tx *storage.Tx) error
	queued int // bytes in puts
}

const (
	batchPuts  = 256
	batchBytes = 256 << 10
)

func (in *restore) add(size int, put func(tx *storage.Tx) error) error {
	in.puts, in.queued = append(in.puts, put), in.queued+size
	if len(in.puts) < batchPuts && in.queued < batchBytes {
		return nil
	}
	return in.flush()
}

func (in *restore) flush() error {
	puts := in.puts
	in.puts, in.queued = nil, 0
	if len(puts) == 0 {
		return nil
	}
	return in.store.Update(func(tx *storage.Tx) error {
		for _, put := range puts {
			if err := put(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (in *restore) put(k storage.Key, v []byte) error {
	return in.add(len(k)+len(v), func(tx *storage.Tx) error { return tx.Put(k, v) })
}

// self makes the new device and the manifest that admits it.
func (in *restore) self(m *me) error {
	account, err := identity.OpenAccountKey(in.code, m.accountKey)
	if err != nil {
		return err
	}
	device := identity.NewDevice()
	manifest, err := identity.NewManifest(account, m.manifest, []identity.DeviceInfo{device.Info(uint32(in.now.Unix() / 86400))})
	if err != nil {
		return err
	}
	s := record.Self{Device: device.Marshal(), Manifest: manifest.Marshal(), AccountKey: m.accountKey, Name: m.name}
	suite.Random(s.HostKey[:])
	return in.put(record.SelfKey(), s.Marshal())
}

func (in *restore) contact(c *record.Contact, conv message.ConversationID) error {
	if err := in.end(); err != nil {
		return err
	}
	if c.State == record.ContactApproved {
		// Nobody knows the new device: it waits for an invite of the contact's.
		c.State = record.ContactPending
	}
	in.with, in.conv = c, conv
	return in.put(record.ContactKey(in.store, c.Account), c.Marshal())
}

func (in *restore) history(p *past) error {
	in.past = p
	return nil
}

// end writes what was learnt from all items of a conversation.
func (in *restore) end() error {
	p := in.past
	if p == nil {
		return nil
	}
	rec := &record.Conversation{History: p.history, Skip: p.skip, Waiting: p.waiting, Ended: in.tombs}
	in.past, in.tombs = nil, 0
	return in.put(record.ConversationKey(in.store, in.conv), rec.Marshal())
}

func (in *restore) message(s *said) error {
	id := s.content.ID()
	if s.rec.Expires != 0 && s.rec.Expires <= in.now.UnixMilli() {
		return in.tomb(&tomb{id: id, order: s.order, state: s.state, mine: s.rec.Mine})
	}
	k := record.MessageKey(in.store, in.conv, s.order, id)
	ix := &record.Index{Key: k, Order: s.order, State: s.state, Changed: s.changed, Mine: s.rec.Mine, Missing: s.missing}
	name := in.store.Pseudonym("conversation", in.conv[:])
	with, v := in.with.Account, s.rec.Marshal()
	return in.add(len(k)+len(v)+200, func(tx *storage.Tx) error {
		bucket, expires := wheel.BucketSent(in.now), time.Time{}
		if s.rec.Expires != 0 {
			expires = time.UnixMilli(s.rec.Expires)
			bucket = wheel.BucketFor(expires, expires.Sub(in.now))
			d := &record.Due{Account: with}
			if err := tx.Put(record.DueKey(expires, id), d.Marshal()); err != nil {
				return err
			}
		}
		leaf, err := tx.NewLeaf(bucket, name)
		if err != nil {
			return err
		}
		if err := tx.PutUnder(k, v, expires, leaf); err != nil {
			return err
		}
		return tx.Put(record.IndexKey(id), ix.Marshal())
	})
}

// maxTombs is how many messages of a conversation that aren't there any more
// are known by their ids.
const maxTombs = 512

func (in *restore) tomb(t *tomb) error {
	if in.tombs >= maxTombs {
		return nil
	}
	if err := in.put(record.GraveKey(in.store, in.conv, uint16(in.tombs)), t.id[:]); err != nil {
		return err
	}
	in.tombs++
	ix := &record.Index{Order: t.order, State: t.state, Mine: t.mine}
	return in.put(record.IndexKey(t.id), ix.Marshal())
}

func (in *restore) number(n *number) error {
	return in.put(record.NumberKey(in.store, in.conv, n.device, n.seq), n.rec.Marshal())
}

func (in *restore) wait(parent, child message.ID) error {
	return in.put(record.WaitingKey(parent, child), child[:])
}
