package mailbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"rushlight/node/host"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/pow"
	"rushlight/protocol/suite"
	bytes "rushlight/protocol/wire"
)

const serviceOwner = "rushlight-mailbox"

// ownerStream is one stream of an owner, on the relay's side.
type ownerStream struct {
	k      *Keeper
	s      network.Stream
	owner  [32]byte
	handle uint64
	found  bool
	leave  func()
}

// refusal is what somebody is told about an error.
func refusal(err error) *wire.Err {
	if e := new(wire.Err); errors.As(err, &e) {
		return e
	}
	return &wire.Err{Code: wire.CodeBusy, RetryAfter: retryBusy}
}

// serveOwner opens an owner's stream (spec §12.5) and serves it until it ends
// or waits for mail.
func (k *Keeper) serveOwner(s network.Stream) error {
	leave, err := k.enter(s.Conn().RemotePeer(), func(u *peerUse) *int { return &u.owners }, ownerStreams)
	if err != nil {
		return err
	}
	o := &ownerStream{k: k, s: s, leave: leave}
	err = o.begin()
	if err == nil {
		err = o.serve()
	}
	if !errors.Is(err, errWaits) {
		leave()
	}
	return err
}

// begin says hello and checks whose mailbox it is.
func (o *ownerStream) begin() error {
	k := o.k
	if err := prepare(o.s, serviceOwner, 4<<10); err != nil {
		return err
	}
	hello := wire.Hello{
		Unix: uint64(time.Now().Unix()), Hosting: k.cfg.Hosting, HostEffort: k.cfg.HostEffort,
		LaneEffort: k.cfg.LaneEffort, TTL: k.cfg.TTL, Quota: k.cfg.Quota, Lane: k.cfg.Lane,
	}
	suite.Random(hello.Nonce[:])
	if err := write(o.s, hello.Append(nil)); err != nil {
		return err
	}
	typ, body, err := o.reader().Next()
	if err != nil {
		return host.Opaque("mailbox: waiting for a proof", err)
	}
	if typ != wire.TypeAuth {
		return expected("auth", typ)
	}
	a, err := wire.ParseAuth(body)
	if err != nil {
		return err
	}
	if !a.Verify(k.relay, hello.Nonce, []byte(o.s.Conn().RemotePeer())) {
		return fmt.Errorf("%w: the proof of a mailbox doesn't hold", errProtocol)
	}
	o.owner = a.Mailbox
	login := k.shelf.Login
	if k.unlisted(o.owner) {
		login = k.shelf.Look
	}
	if o.handle, o.found, err = login(o.owner); err != nil {
		return errors.Join(err, write(o.s, refusal(err).Append(nil)))
	}
	return o.sayState()
}

func (o *ownerStream) reader() *host.FrameReader {
	return host.NewFrameReader(o.s, 64, wire.OwnerLimit, func(on bool) {
		if on {
			_ = o.s.SetReadDeadline(time.Now().Add(openTime))
		}
	})
}

func (o *ownerStream) sayState() error {
	var st wire.State
	if o.found {
		var err error
		if st, err = o.k.shelf.State(o.handle); err != nil {
			return o.say(nil, err)
		}
	}
	return write(o.s, st.Append(nil))
}

// say writes an answer, or why there is none.
func (o *ownerStream) say(answer []byte, err error) error {
	if err != nil {
		answer = refusal(err).Append(nil)
	}
	return write(o.s, answer)
}

// serve answers requests one after the other.
func (o *ownerStream) serve() error {
	in := o.reader()
	for {
		if err := setReadDeadline(o.s, idleTime); err != nil {
			return err
		}
		typ, body, err := in.Next()
		if err != nil {
			return host.Opaque("mailbox: waiting for a request", err)
		}
		if !o.found && typ != wire.TypeCreate {
			if err := o.say(nil, &wire.Err{Code: wire.CodeUnknown}); err != nil {
				return err
			}
			continue
		}
		if typ == wire.TypeFetch {
			err = o.beginFetch(body)
		} else {
			err = o.answer(typ, body)
		}
		if err != nil {
			return err
		}
	}
}

// answer answers every request but a fetch.
func (o *ownerStream) answer(typ uint8, body []byte) error {
	shelf := o.k.shelf
	switch typ {
	case wire.TypeCreate:
		c, err := wire.ParseCreate(body)
		if err != nil {
			return err
		}
		if err := o.create(&c); err != nil {
			return o.say(nil, err)
		}
		return o.sayState()
	case wire.TypeStamps:
		q, err := wire.ParseStamps(body)
		if err != nil {
			return err
		}
		first, stamps, err := shelf.Mint(o.handle, q.Class, int(q.Count))
		return o.say((&wire.Minted{First: first, Stamps: stamps}).Append(nil), err)
	case wire.TypeIDs:
		q, err := wire.ParseIDs(body)
		if err != nil {
			return err
		}
		o.k.readers <- struct{}{}
		tags, err := shelf.Tags(o.handle, q.After, int(q.Max))
		<-o.k.readers
		return o.say(tags.Append(nil), err)
	case wire.TypeTrim:
		q, err := wire.ParseTrim(body)
		if err != nil {
			return err
		}
		out, err := shelf.Trim(o.handle, q.Ranges)
		return o.say(out.Append(nil), err)
	case wire.TypeRevoke:
		q, err := wire.ParseRevoke(body)
		if err != nil {
			return err
		}
		n, err := shelf.Revoke(o.handle, q.Ranges)
		return o.say(wire.AppendRevoked(nil, uint32(n)), err)
	case wire.TypeClose:
		err := shelf.CloseBox(o.handle, body)
		o.found = o.found && err != nil
		return o.say(wire.AppendClosed(nil), err)
	}
	return expected("a request", typ)
}

// create checks what the relay asks of a new mailbox (spec §12.6). The shelf
// decides whether it is a new one.
func (o *ownerStream) create(c *wire.Create) error {
	if o.k.draining.Load() || !o.found && !o.k.creates.Allow() {
		return &wire.Err{Code: wire.CodeBusy, RetryAfter: retryDrain}
	}
	if o.k.unlisted(o.owner) {
		return &wire.Err{Code: wire.CodeRefused}
	}
	token, allowed := o.k.mayHost(o.owner, c.Proof)
	handle, err := o.k.shelf.Create(o.owner, c, token, allowed)
	if err == nil {
		o.handle, o.found = handle, true
	}
	return err
}

// unlisted reports whether a mailbox has no place here any more: it may be
// emptied until its lease ends.
func (k *Keeper) unlisted(owner [32]byte) bool {
	return k.cfg.Hosting == wire.HostList && (k.cfg.Allow == nil || !k.cfg.Allow(owner))
}

func (k *Keeper) mayHost(owner [32]byte, proof []byte) (token [16]byte, ok bool) {
	switch k.cfg.Hosting {
	case wire.HostOpen:
		return token, true
	case wire.HostWork:
		r := bytes.NewReader(proof)
		day := r.U16()
		var p pow.Proof
		r.Fill(p[:])
		today := k.shelf.Today()
		return token, r.Close() == nil && day+1 >= today && day <= today+1 &&
			pow.Verify(wire.HostChallenge(k.relay, owner, day), p, k.cfg.HostEffort)
	case wire.HostToken:
		return checkToken(k.cfg.TokenKey, proof)
	case wire.HostList:
		return token, true // or it had been refused
	}
	return token, false
}

const labelToken suite.Label = "rushlight/mailbox/token/1"

// TokenSize is the length of a hosting token in bytes.
const TokenSize = 32

// NewToken makes a token that is good for one new mailbox at a relay with the
// same key. Nothing is written down: what the relay remembers is which were
// used.
func NewToken(key [32]byte) (token [TokenSize]byte) {
	suite.Random(token[:16])
	mac := suite.MAC(key[:], labelToken, token[:16])
	copy(token[16:], mac[:])
	return token
}

func checkToken(key [32]byte, proof []byte) (id [16]byte, ok bool) {
	if len(proof) != TokenSize {
		return id, false
	}
	mac := suite.MAC(key[:], labelToken, proof[:16])
	return [16]byte(proof[:16]), suite.Equal(mac[:16], proof[16:])
}
