package exact

import (
	"fmt"
	"strings"

	"rushlight/storage"
	"rushlight/storage/record"
)

// explain says what a profile has of a message of its own that hasn't arrived:
// what the driver does depends on the seed alone, but what runs beside it doesn't.
func (w *world) explain(n *note) string {
	p, to := w.people[n.from], w.people[n.to].account
	var out strings.Builder
	fmt.Fprintf(&out, "%d are queued;", p.eng.Queued())
	err := p.store.View(func(tx *storage.Tx) error {
		b, err := tx.Get(record.ChainKey(tx, to))
		if err != nil {
			return err
		}
		c, err := record.ParseChain(b)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, " chain of session %x, from %d to %d;", c.Session[:4], c.Pending, c.LastOutbox)
		for _, s := range c.Sessions {
			fmt.Fprintf(&out, " session %x", s.Session[:4])
		}
		if b, err = tx.Get(record.IndexKey(n.id)); err != nil {
			return err
		}
		x, err := record.ParseIndex(b)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "; state %d, outbox %d, message %x;", x.State, x.Outbox, n.id[:4])
		return tx.Scan(record.OutboxPrefix(tx, to), nil, false, func(k storage.Key, v []byte) (bool, error) {
			o, err := record.ParseOutbox(v)
			if err == nil {
				fmt.Fprintf(&out, " entry %d of kind %d, session %x, message %x;", record.OutboxSeq(k), o.Kind, o.Session[:4], o.Message[:4])
			}
			return true, err
		})
	})
	if err != nil {
		fmt.Fprint(&out, " ", err)
	}
	return out.String()
}
