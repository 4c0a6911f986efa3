package mail

import (
	"time"

	"rushlight/storage"
	"rushlight/storage/record"
)

// explain says what p has for q and why it stays.
func (p *person) explain(q *person) {
	w := p.w
	w.must(p.store.View(func(tx *storage.Tx) error {
		w.t.Logf("now %v: %d has for %d:", time.Now().UTC(), p.n, q.n)
		x, err := record.LoadPlaces(tx, q.account, func(k storage.Key) ([]byte, error) { return orNil(tx.Get(k)) })
		if err != nil {
			return err
		}
		for _, r := range x.Relays {
			w.t.Logf("  relay %d: stamps %d %d %d, away until %v", w.relayOf(r.Key).n, len(r.Stamps[0]), len(r.Stamps[1]), len(r.Stamps[2]), p.away[r.Key])
		}
		w.t.Logf("  owed %d", len(x.Owed))
		return tx.Scan(record.OutboxPrefix(tx, q.account), nil, false, func(k storage.Key, v []byte) (bool, error) {
			o, err := record.ParseOutbox(v)
			if err != nil {
				return false, err
			}
			seq := record.OutboxSeq(k)
			label := ""
			if n := w.ids[o.Message]; n != nil {
				label = n.label
			}
			w.t.Logf("  entry %d kind %d class %v %s packet %d", seq, o.Kind, o.Class, label, len(o.Packet))
			if b, err := tx.Get(record.PostedKey(tx, q.account, seq)); err == nil {
				d, err := record.ParsePosted(b)
				if err != nil {
					return false, err
				}
				w.t.Logf("    rounds %d due %v", d.Rounds, time.Unix(d.Due, 0).UTC())
				for _, c := range d.Copies {
					w.t.Logf("    at relay %d stored %v", w.relayOf(c.Relay).n, c.Stored)
				}
			}
			return true, nil
		})
	}))
}
