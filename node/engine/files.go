package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Attached are the files of one message.
type Attached struct {
	ID      message.ID
	With    identity.AccountID // the other side of the conversation
	Mine    bool
	Expires time.Time // zero is never
	Files   []message.File
	Wishes  []record.FileWish // one for each
}

// putFiles notes that a message has files, under its leaf.
func (t *txn) putFiles(id message.ID, m *message.Message, expires int64, leaf storage.Leaf) (bool, error) {
	b, err := message.ParseBody(m.Type, m.Body)
	if err != nil {
		return false, nil //nolint:nilerr // it is shown as one that this version can't read
	}
	f := &record.Files{Wishes: make([]record.FileWish, len(b.Files))}
	return true, t.putErasable(record.FilesKey(id), f.Marshal(), expires, leaf)
}

// Attached lists the messages that have files.
func (e *Engine) Attached() (out []Attached, err error) {
	err = e.view(func(t *txn) error {
		var ids []message.ID
		if err := t.ScanKeys(record.FilesPrefix(), nil, false, func(k storage.Key) (bool, error) {
			ids = append(ids, message.ID(k[1:]))
			return true, nil
		}); err != nil {
			return err
		}
		for _, id := range ids {
			switch a, err := t.attached(id); {
			case err == nil:
				out = append(out, *a)
			case !errors.Is(err, ErrUnknownMessage):
				return err
			}
		}
		return nil
	})
	return out, err
}

// AttachedTo returns the files of one message. The error is
// [ErrUnknownMessage] for one that has none or ended.
func (e *Engine) AttachedTo(id message.ID) (out *Attached, err error) {
	err = e.view(func(t *txn) error {
		out, err = t.attached(id)
		return err
	})
	return out, err
}

func (t *txn) attached(id message.ID) (*Attached, error) {
	rec, x, m, err := t.shown(id)
	if err != nil {
		return nil, err
	}
	if !x.Files || rec.Erased {
		return nil, ErrUnknownMessage
	}
	b, err := message.ParseBody(m.Type, m.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a message with files: %w", err)
	}
	f, err := t.files(id)
	if err != nil {
		return nil, err
	}
	if len(f.Wishes) != len(b.Files) {
		return nil, fmt.Errorf("%w: a message has other files than noted", storage.ErrCorrupt)
	}
	return &Attached{
		ID: id, With: t.partner(m, rec), Mine: rec.Mine, Expires: unixMilli(rec.Expires), Files: b.Files, Wishes: f.Wishes,
	}, nil
}

func (t *txn) files(id message.ID) (*record.Files, error) {
	b, err := t.get(record.FilesKey(id))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrUnknownMessage
	}
	f, err := record.ParseFiles(b)
	if err != nil {
		return nil, fmt.Errorf("reading the files of a message: %w", err)
	}
	return f, nil
}

// WishFile says what is wanted of a file of a message.
func (e *Engine) WishFile(ctx context.Context, id message.ID, nth int, wish record.FileWish) error {
	return e.do(ctx, 1024, func(t *txn) error {
		rec, x, _, err := t.shown(id)
		if err != nil {
			return err
		}
		f, err := t.files(id)
		if err != nil {
			return err
		}
		if nth < 0 || nth >= len(f.Wishes) {
			return ErrUnknownMessage
		}
		if f.Wishes[nth] == wish {
			return nil
		}
		leaf, _, err := t.LeafOf(x.Key)
		if err != nil {
			return err
		}
		f.Wishes = slices.Clone(f.Wishes)
		f.Wishes[nth] = wish
		return t.putErasable(record.FilesKey(id), f.Marshal(), rec.Expires, leaf)
	})
}

// Allowed reports whether an account may be given the files of its messages.
func (e *Engine) Allowed(a identity.AccountID) bool {
	c := e.Contact(a)
	return c != nil && c.State != record.ContactBlocked
}

// Porter takes what came of files by mail. Its methods must not block, and may
// drop what comes: it is asked for again.
type Porter interface {
	Part(from identity.AccountID, p *message.FilePart)
	Ordered(from identity.AccountID, o *message.FileOrder)
}

// SetPorter names who takes what comes of files. It must be called before
// [Engine.Run].
func (e *Engine) SetPorter(p Porter) { e.porter.Store(&p) }

// takeFilePacket hands on what is about a file, once it is committed that it
// came.
func (t *txn) takeFilePacket(from identity.AccountID, p message.Packet) {
	if _, orders := p.(*message.FileOrder); orders {
		t.e.stampless.files[from] = t.now // more will come
	}
	to := t.e.porter.Load()
	if to == nil {
		return
	}
	t.after = append(t.after, func() {
		switch p := p.(type) {
		case *message.FilePart:
			p.Bytes = slices.Clone(p.Bytes) // of an envelope
			(*to).Part(from, p)
		case *message.FileOrder:
			(*to).Ordered(from, p)
		}
	})
}

// mailedTogether bounds the packets about files in one transaction, which has
// room for some hundred KiB.
const mailedTogether = 4

// Mail queues parts of files for a contact. Errors as of [Engine.Send].
func (e *Engine) Mail(ctx context.Context, to identity.AccountID, packets ...message.Packet) error {
	var group []*step
	for chunk := range slices.Chunk(packets, mailedTogether) {
		group = append(group, &step{cost: len(chunk) * 5 * message.PartSize, run: func(t *txn) error {
			if err := t.maySend(to); err != nil {
				return err
			}
			for _, p := range chunk {
				if err := t.tell(to, p); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	err := e.doAll(ctx, group)
	for _, s := range group {
		err = errors.Join(err, s.err)
	}
	return err
}

// A contact who orders files has more stamps of the class that orders go in, for
// so long after its last.
const (
	orderStamps = 64
	orderLife   = 30 * time.Minute
)

// enough is how many stamps of each class a contact is to have.
func (t *txn) enough(a identity.AccountID) [3]uint16 {
	full := firstStamps
	if at, ok := t.e.stampless.files[a]; ok && t.now.Sub(at) < orderLife {
		full[1] = orderStamps
	}
	return full
}

// HasMailbox reports whether mail can be left for a contact.
func (e *Engine) HasMailbox(a identity.AccountID) (has bool) {
	_ = e.view(func(t *txn) error { // not known is no
		p, err := t.places(a)
		has = err == nil && len(p.Relays) > 0
		return err
	})
	return has
}

func isFilePacket(o *record.Outbox) bool {
	k := kindOf(o)
	return k == message.KindFilePart || k == message.KindFileOrder
}
