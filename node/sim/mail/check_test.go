package mail

import (
	"fmt"
	"time"

	"rushlight/storage/record"
)

// check is the guarantee (spec of delivery, G1): whatever relays did, every
// message whose author's device survives is shown exactly once, as is every one
// that an honest relay acknowledged and has kept; and nothing is shown twice.
func (w *world) check() error {
	shown := map[string]int{}
	for _, p := range w.people {
		for _, q := range w.people {
			if p == q || p.gone {
				continue
			}
			if err := w.checkShown(p, q, shown); err != nil {
				return err
			}
		}
		if !p.gone {
			r, err := p.eng.Check(w.ctx)
			w.must(err)
			if len(r.Faults) > 0 {
				return fmt.Errorf("StoreChecks: %d: %+v", p.n, r.Faults)
			}
		}
	}
	for _, n := range w.notes {
		from, to := w.people[n.from], w.people[n.to]
		switch covered := !from.gone || n.kept(w); {
		case to.gone:
		case shown[n.label] == 0 && covered:
			if !from.gone {
				from.explain(to)
			}
			return fmt.Errorf("NothingLost: %s is not with its recipient (its author's device is gone: %v)", n.label, from.gone)
		case shown[n.label] == 0:
			w.count["lost with their author, as nobody kept them"]++
		case from.gone:
			w.count["arrived after their author was gone"]++
		}
	}
	for _, p := range w.people {
		for _, q := range w.people {
			if p != q && !p.gone && !q.gone && p.eng.Waits(q.account) {
				p.explain(q)
				return fmt.Errorf("OutboxDrains: %d still has something for %d", p.n, q.n)
			}
		}
	}
	return nil
}

// kept reports whether an honest relay that acknowledged n still had it when
// everybody settled.
func (n *note) kept(w *world) bool {
	for _, r := range w.relays {
		at, ok := n.acked[r]
		if ok && !r.dead && r.lies.honest() && !r.lied && (r.fell.IsZero() || r.fell.Before(at)) && w.people[n.to].hosts(r) && w.settled.Sub(at) < 29*24*time.Hour {
			return true
		}
	}
	return false
}

// checkShown looks at what p shows of its conversation with q.
func (w *world) checkShown(p, q *person, shown map[string]int) error {
	seen := map[string]bool{}
	last := map[bool]int{}
	for _, v := range p.shows(q) {
		label := labelOf(v)
		n := w.by[label]
		switch {
		case n == nil:
			return fmt.Errorf("NothingTwice: %d shows what nobody wrote", p.n)
		case seen[label]:
			return fmt.Errorf("NothingTwice: %d shows %s twice", p.n, label)
		case v.Mine != (n.from == p.n) || n.from+n.to != p.n+q.n:
			return fmt.Errorf("NothingTwice: %d shows %s in the wrong place", p.n, label)
		case v.Mine && v.State == record.StateFailed:
			return fmt.Errorf("NothingLost: %s failed", label)
		case v.Waiting && !q.gone && !w.forgets:
			return fmt.Errorf("CausalOrder: %s still waits for what came before it", label)
		}
		var k int
		if _, err := fmt.Sscanf(label, fmt.Sprintf("%d>%d/%%d", n.from, n.to), &k); err != nil {
			return err
		}
		if !v.Waiting {
			if k < last[v.Mine] {
				return fmt.Errorf("CausalOrder: %d shows %s behind what was written later", p.n, label)
			}
			last[v.Mine] = k
		}
		seen[label] = true
		if !v.Mine {
			shown[label]++
		}
		w.log("%d with %d: %s state %d waiting %v", p.n, q.n, label, v.State, v.Waiting)
	}
	return nil
}
