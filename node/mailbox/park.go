package mailbox

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	wire "rushlight/protocol/mailbox"
)

// parked is a fetch that waits for mail. It has no goroutine and no buffer:
// what wakes it starts one.
type parked struct {
	o     *ownerStream
	after uint64
	most  uint32
	until int64 // second
	lists [3]struct{ next, prev *parked }
}

// A parked fetch stands in three lists: by what can wake it.
const (
	listBox = iota
	listDue
	listPeer
)

func (p *parked) push(list int, head **parked) {
	p.lists[list].next = *head
	if *head != nil {
		(*head).lists[list].prev = p
	}
	*head = p
}

// cut takes p out of a list and returns the list's new head.
func (p *parked) cut(list int, head *parked) *parked {
	l := &p.lists[list]
	if l.next != nil {
		l.next.lists[list].prev = l.prev
	}
	if l.prev != nil {
		l.prev.lists[list].next = l.next
	} else {
		head = l.next
	}
	l.next, l.prev = nil, nil
	return head
}

// beginFetch answers a fetch, or leaves it waiting: then it returns errWaits
// and the stream belongs to whoever wakes it.
func (o *ownerStream) beginFetch(body []byte) error {
	q, err := wire.ParseFetch(body)
	if err != nil {
		return err
	}
	o.k.stats.fetches.Add(1)
	p := &parked{o: o, after: q.After, most: q.MaxBytes, until: time.Now().Unix() + int64(q.Wait) + 1}
	return p.fetch(q.Wait > 0)
}

// fetch sends what there is. When that is nothing and it may wait, it parks.
func (p *parked) fetch(wait bool) error {
	sent, end, err := p.send()
	if err != nil {
		return p.o.failed(err)
	}
	if !sent {
		p.after = end.Next
	}
	switch draining := p.o.k.draining.Load(); {
	case !sent && draining:
		return p.o.say(nil, &wire.Err{Code: wire.CodeBusy, RetryAfter: retryDrain})
	case !sent && wait:
		if err := p.o.s.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		k, handle, after := p.o.k, p.o.handle, p.after
		if !k.park(p) {
			return errStopping
		}
		// Mail that came in between has woken nobody. From here on p may be
		// somebody else's.
		if _, err := k.shelf.Fetch(handle, after, 1, func(*wire.Env) error { return errFound }); errors.Is(err, errFound) {
			k.wake(p)
		}
		return errWaits
	}
	return write(p.o.s, end.Append(nil))
}

var (
	errFound = errors.New("mailbox: there is mail")
	errRoom  = errors.New("mailbox: the rest has no room in the answer")
)

// failed answers a fetch that can't be.
func (o *ownerStream) failed(err error) error {
	if e := new(wire.Err); errors.As(err, &e) {
		return o.say(nil, e)
	}
	return err
}

// fetchWindow is how much is read before it is written.
const fetchWindow = 256 << 10

// send writes the envelopes in windows, so that no slow reader holds on to the
// database.
func (p *parked) send() (sent bool, end wire.End, err error) {
	k := p.o.k
	end = wire.End{Next: p.after}
	left := int(p.most)
	for {
		k.readers <- struct{}{}
		var out []byte
		got := 0
		before := end
		end, err = k.shelf.Fetch(p.o.handle, end.Next, min(left, fetchWindow), func(e *wire.Env) error {
			if sent && got+len(e.Envelope) > left {
				return errRoom // only the first of all may be longer than what was asked for
			}
			if out == nil {
				out = getWindow()
			}
			got += len(e.Envelope)
			out = e.Append(out)
			return nil
		})
		<-k.readers
		if errors.Is(err, errRoom) {
			before.More = true
			return sent, before, nil
		}
		if err != nil {
			return sent, end, err
		}
		if got > 0 {
			sent = true
			err = write(p.o.s, out)
			putWindow(out)
			if err != nil {
				return sent, end, err
			}
		}
		if left -= got; !end.More || left <= 0 {
			return sent, end, nil
		}
	}
}

// park puts p where mail and time can wake it.
func (k *Keeper) park(p *parked) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.open {
		return false
	}
	box, due := k.parked[p.o.handle], k.due[p.until]
	p.push(listBox, &box)
	p.push(listDue, &due)
	k.parked[p.o.handle], k.due[p.until] = box, due
	use := k.peers[p.o.s.Conn().RemotePeer()]
	p.push(listPeer, &use.parked)
	k.stats.parked.Add(1)
	return true
}

// unpark takes p out of all lists; false when somebody else did. k.mu is held.
func (k *Keeper) unpark(p *parked) bool {
	head := k.parked[p.o.handle]
	if p.lists[listBox].next == nil && p.lists[listBox].prev == nil && head != p {
		return false
	}
	setHead(k.parked, p.o.handle, p.cut(listBox, head))
	setHead(k.due, p.until, p.cut(listDue, k.due[p.until]))
	use := k.peers[p.o.s.Conn().RemotePeer()]
	use.parked = p.cut(listPeer, use.parked)
	k.stats.parked.Add(-1)
	return true
}

func setHead[K comparable](m map[K]*parked, key K, head *parked) {
	if head == nil {
		delete(m, key)
	} else {
		m[key] = head
	}
}

// resume gives a woken fetch a goroutine. k.mu is held.
func (k *Keeper) resume(p *parked) {
	if !k.open || !k.unpark(p) {
		return
	}
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		err := p.fetch(time.Now().Unix() < p.until)
		if err == nil {
			err = p.o.serve()
		}
		if !errors.Is(err, errWaits) {
			p.o.leave()
		}
		k.finish(p.o.s, err)
	}()
}

func (k *Keeper) wake(p *parked) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resume(p)
}

// wakeMail wakes the fetches of mailboxes that got something.
func (k *Keeper) wakeMail(handles []uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range handles {
		for p := k.parked[h]; p != nil; p = k.parked[h] {
			k.resume(p)
			if k.parked[h] == p { // the keeper stops
				break
			}
		}
	}
}

// wakeDue wakes the fetches that have waited long enough.
func (k *Keeper) wakeDue(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for second, p := range k.due {
		if second > now.Unix() {
			continue
		}
		for ; p != nil; p = k.due[second] {
			k.resume(p)
		}
	}
}

// wakeAll ends all waits.
func (k *Keeper) wakeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for second, p := range k.due {
		for ; p != nil && k.open; p = k.due[second] {
			k.resume(p)
		}
	}
}

// left drops the waits of a connection that has ended.
func (k *Keeper) left(c network.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	use := k.peers[c.RemotePeer()]
	if use == nil {
		return
	}
	for p := use.parked; p != nil; {
		next := p.lists[listPeer].next
		if p.o.s.Conn() == c && k.unpark(p) {
			delete(k.live, p.o.s)
			leave := p.o.leave
			k.wg.Add(1)
			go func() { // leave takes the lock
				defer k.wg.Done()
				leave()
			}()
		}
		p = next
	}
}
