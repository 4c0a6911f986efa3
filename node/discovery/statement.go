package discovery

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/record"
)

// The derivations of spec §14.2 and §14.3.
const (
	labelHintsTag suite.Label = "rushlight/discovery/hints-tag/1"
	labelHintsKey suite.Label = "rushlight/discovery/hints-key/1"
	labelWanted   suite.Label = "rushlight/discovery/wanted/1"
	labelVouch    suite.Label = "rushlight/discovery/vouch/1"
)

// Frames of /rushlight/hints/1 (spec §14.2).
const (
	frameAsk    uint8 = 0x40 // ver u8 = 1 | nonce[32] | tag[16] | sealed statement
	frameAnswer uint8 = 0x41 // nonce[32] | sealed statement

	hintsVersion uint8 = 1
	askHead            = 1 + 32 + 16
	maxStatement       = 8 << 10
)

// Limits of a statement (spec §14.2).
const (
	maxServers     = 4
	maxServerAddrs = 2
	maxWanted      = 8
)

// statement is what one contact tells another about itself and about others.
type statement struct {
	reader  [64]byte // of its beacon
	made    int64    // Unix milliseconds
	hints   []identity.Hint
	servers []record.Server // nodes of the hash table; peer and addresses alone
	vouched [][32]byte
	wanted  [][16]byte // who is looked for
	found   []foundHints
}

// foundHints answers one tag of wanted.
type foundHints struct {
	index uint8
	made  int64
	hints []identity.Hint
}

// The records of a statement.
const (
	recordWhere uint16 = iota + 1
	recordServers
	recordVouched
	recordWanted
	recordFound
)

func (s *statement) marshal() []byte {
	w := wire.NewWriter(nil)
	v := wire.NewWriter(nil).Raw(s.reader[:]).U64(uint64(s.made))
	writeHints(v, s.hints)
	w.Record(recordWhere, v.Out())
	if len(s.servers) > 0 {
		v := wire.NewWriter(nil)
		for _, x := range s.servers {
			v.Vec8(x.Peer).U8(uint8(len(x.Addrs)))
			for _, a := range x.Addrs {
				v.Vec8(a)
			}
		}
		w.Record(recordServers, v.Out())
	}
	if len(s.vouched) > 0 {
		v := wire.NewWriter(nil)
		for _, x := range s.vouched {
			v.Raw(x[:])
		}
		w.Record(recordVouched, v.Out())
	}
	if len(s.wanted) > 0 {
		v := wire.NewWriter(nil)
		for _, x := range s.wanted {
			v.Raw(x[:])
		}
		w.Record(recordWanted, v.Out())
	}
	if len(s.found) > 0 {
		v := wire.NewWriter(nil)
		for _, x := range s.found {
			writeHints(v.U8(x.index).U64(uint64(x.made)), x.hints)
		}
		w.Record(recordFound, v.Out())
	}
	return w.Out()
}

func writeHints(w *wire.Writer, hints []identity.Hint) {
	w.U8(uint8(len(hints)))
	for _, h := range hints {
		w.Vec8(h.Peer).Vec8(h.Addr)
	}
}

func readHints(r *wire.Reader) (out []identity.Hint) {
	n := int(r.U8())
	if n > identity.MaxHints {
		r.Fail("too many hints")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		h := identity.Hint{Peer: r.Vec8(64), Addr: r.Vec8(128)}
		if len(h.Peer) == 0 {
			r.Fail("hint without a peer")
		}
		out = append(out, h)
	}
	return out
}

// parseStatement decodes a statement. Unknown records are left out.
func parseStatement(b []byte) (*statement, error) {
	in := wire.NewReader(b)
	s, where := &statement{}, false
	for _, rec := range in.Records(maxStatement) {
		r := wire.NewReader(rec.Value)
		switch rec.Type {
		case recordWhere:
			where = true
			r.Fill(s.reader[:])
			s.made, s.hints = int64(r.U64()), readHints(r)
		case recordServers:
			for r.Len() > 0 && r.Err() == nil {
				x := record.Server{Peer: r.Vec8(64)}
				n := int(r.U8())
				if n > maxServerAddrs || len(x.Peer) == 0 {
					r.Fail("server over its limits")
				}
				for ; n > 0 && r.Err() == nil; n-- {
					x.Addrs = append(x.Addrs, r.Vec8(128))
				}
				s.servers = append(s.servers, x)
			}
		case recordVouched:
			for r.Len() > 0 && r.Err() == nil {
				s.vouched = append(s.vouched, r.A32())
			}
		case recordWanted:
			for r.Len() > 0 && r.Err() == nil {
				s.wanted = append(s.wanted, r.A16())
			}
		case recordFound:
			for r.Len() > 0 && r.Err() == nil {
				s.found = append(s.found, foundHints{r.U8(), int64(r.U64()), readHints(r)})
			}
		default:
			r.Rest()
		}
		if err := r.Close(); err != nil {
			in.Fail("record of a statement: " + err.Error())
		}
	}
	if !where || s.made < 0 || len(s.servers) > maxServers || len(s.vouched) > record.MaxVouched ||
		len(s.wanted) > maxWanted || len(s.found) > maxWanted {
		in.Fail("statement over its limits")
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("discovery: reading a statement: %w", err)
	}
	return s, nil
}

// pair is what two contacts share on one connection.
type pair struct {
	secret            [32]byte
	dialler, listener peer.ID
}

// tag shows the listener which contact asks.
func (p pair) tag(nonce [32]byte) (t [16]byte) {
	m := suite.MAC(p.secret[:], labelHintsTag, nonce[:], []byte(p.dialler), []byte(p.listener))
	copy(t[:], m[:])
	return t
}

// key seals one statement: the dialler's when answer is nil.
func (p pair) key(nonce [32]byte, answer []byte) []byte {
	return suite.Derive(p.secret[:], nil, 32, labelHintsKey, nonce[:], answer, []byte(p.dialler), []byte(p.listener))
}

// ask seals the dialler's statement.
func (p pair) ask(nonce [32]byte, s *statement) []byte {
	t := p.tag(nonce)
	out := wire.NewWriter(nil).U8(hintsVersion).Raw(nonce[:]).Raw(t[:]).Out()
	return suite.Seal(out, p.key(nonce, nil), out[:askHead:askHead], s.marshal())
}

// readAsk finds the contact that asks among all, and reads what it says. ok is
// false for a stranger.
func readAsk(body []byte, all []PairSecret, dialler, listener peer.ID) (who PairSecret, nonce [32]byte, s *statement, ok bool) {
	r := wire.NewReader(body)
	if r.U8() != hintsVersion {
		return who, nonce, nil, false
	}
	nonce = r.A32()
	t, sealed := r.A16(), r.Rest()
	if r.Close() != nil {
		return who, nonce, nil, false
	}
	for _, c := range all {
		p := pair{c.Secret, dialler, listener}
		if want := p.tag(nonce); !suite.Equal(want[:], t[:]) {
			continue
		}
		text, err := suite.Open(nil, p.key(nonce, nil), body[:askHead], sealed)
		if err != nil {
			return who, nonce, nil, false
		}
		s, err = parseStatement(text)
		return c, nonce, s, err == nil
	}
	return who, nonce, nil, false
}

// answer seals the listener's statement.
func (p pair) answer(nonce [32]byte, s *statement) []byte {
	var own [32]byte
	suite.Random(own[:])
	return suite.Seal(own[:], p.key(nonce, own[:]), nil, s.marshal())
}

// readAnswer opens the listener's statement.
func (p pair) readAnswer(nonce [32]byte, body []byte) (*statement, error) {
	if len(body) < 32 {
		return nil, fmt.Errorf("discovery: reading an answer: %w: too short", wire.ErrMalformed)
	}
	text, err := suite.Open(nil, p.key(nonce, body[:32]), nil, body[32:])
	if err != nil {
		return nil, fmt.Errorf("discovery: opening an answer: %w", err)
	}
	return parseStatement(text)
}

// wantedTag asks for whoever the secret belongs to, on one connection, so that
// only somebody who knows the secret, too, sees who is meant.
func (p pair) wantedTag(nonce, secret [32]byte) (t [16]byte) {
	m := suite.MAC(secret[:], labelWanted, nonce[:], []byte(p.dialler), []byte(p.listener))
	copy(t[:], m[:])
	return t
}

// vouchSecret is by which the holder of an invite is told where its maker is.
func vouchSecret(invite [32]byte) [32]byte {
	return [32]byte(suite.Derive(invite[:], nil, 32, labelVouch))
}
