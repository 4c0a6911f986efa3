package discovery

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// labelTag makes the blinded tags of an announcement.
const labelTag suite.Label = "rushlight/discovery/lan-tag/1"

const (
	slots       = 8
	tagSize     = 8
	epochLength = 15 * time.Minute

	announcementVersion uint8 = 1
	announcementSize          = 1 + 16 + 2 + 2 + slots*tagSize
)

type tag [tagSize]byte

// announcement is all that a device says: ver u8 = 1 | instance[16] |
// QUIC port u16 | TCP port u16 | tags 8 × [8].
type announcement struct {
	instance  [16]byte
	quic, tcp uint16
	tags      [slots]tag
}

func (a announcement) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, announcementSize)).U8(announcementVersion).Raw(a.instance[:]).U16(a.quic).U16(a.tcp)
	for _, t := range a.tags {
		w.Raw(t[:])
	}
	return w.Out()
}

func parseAnnouncement(b []byte) (a announcement, err error) {
	r := wire.NewReader(b)
	if v := r.U8(); v != announcementVersion {
		r.Fail("unknown version")
	}
	a.instance, a.quic, a.tcp = r.A16(), r.U16(), r.U16()
	for i := range a.tags {
		r.Fill(a.tags[i][:])
	}
	if err := r.Close(); err != nil {
		return a, fmt.Errorf("discovery: reading an announcement: %w", err)
	}
	return a, nil
}

func epoch(now time.Time) uint64 { return uint64(now.Unix()) / uint64(epochLength/time.Second) }

// tagFor is the tag by which the holder of the secret recognises an instance.
// It binds the instance and the ports: what two contacts announce about each
// other shares nothing, and a tag can't be moved to another announcement.
func tagFor(secret [32]byte, at uint64, a announcement) (t tag) {
	var e [8]byte
	binary.BigEndian.PutUint64(e[:], at)
	ports := wire.NewWriter(nil).U16(a.quic).U16(a.tcp).Out()
	m := suite.MAC(secret[:], labelTag, e[:], a.instance[:], ports)
	copy(t[:], m[:])
	return t
}

// announce fills the tags for the contacts at turn and after it, in random
// places; what is left stays random.
func announce(a announcement, secrets []PairSecret, turn int, now time.Time) announcement {
	for i := range a.tags {
		suite.Random(a.tags[i][:])
	}
	place := shuffled()
	for i := range min(slots, len(secrets)) {
		s := secrets[(turn+i)%len(secrets)]
		a.tags[place[i]] = tagFor(s.Secret, epoch(now), a)
	}
	return a
}

// shuffled is a random order of the slots.
func shuffled() (p [slots]int) {
	var key [slots][4]byte
	for i := range p {
		p[i] = i
		suite.Random(key[i][:])
	}
	slices.SortFunc(p[:], func(a, b int) int { return slices.Compare(key[a][:], key[b][:]) })
	return p
}

// recognise returns the contacts whose tags an announcement carries, for
// clocks that differ by at most one epoch.
func recognise(a announcement, secrets []PairSecret, now time.Time) []identity.AccountID {
	var out []identity.AccountID
	for _, s := range secrets {
		for e := epoch(now) - 1; e <= epoch(now)+1; e++ {
			if slices.Contains(a.tags[:], tagFor(s.Secret, e, a)) {
				out = append(out, s.Account)
				break
			}
		}
	}
	return out
}
