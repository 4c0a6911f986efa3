package discovery

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

func TestMain(m *testing.M) {
	// Started once for the process by libp2p.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"))
}

func secrets(n int) []PairSecret {
	out := make([]PairSecret, n)
	for i := range out {
		suite.Random(out[i].Account[:])
		suite.Random(out[i].Secret[:])
	}
	return out
}

func blank() (a announcement) {
	suite.Random(a.instance[:])
	a.quic, a.tcp = 4001, 4002
	return a
}

var noon = time.Unix(1_800_000_000, 0)

func TestContactsRecogniseEachOther(t *testing.T) {
	mine := secrets(5)
	a := announce(blank(), mine, 0, noon)
	got := recognise(a, mine, noon)
	if len(got) != 5 {
		t.Fatalf("%d of 5 recognised", len(got))
	}
	if got := recognise(a, secrets(2000), noon); len(got) != 0 {
		t.Error("a stranger recognises somebody")
	}
	for _, c := range []struct {
		ago  time.Duration
		want int
	}{{0, 5}, {epochLength, 5}, {-epochLength, 5}, {2*epochLength + 1, 0}, {-2 * epochLength, 0}} {
		if got := recognise(a, mine, noon.Add(c.ago)); len(got) != c.want {
			t.Errorf("%v later %d are recognised", c.ago, len(got))
		}
	}
	// A tag holds for its announcement alone.
	for name, change := range map[string]func(*announcement){
		"instance": func(a *announcement) { a.instance[3] ^= 1 },
		"quic":     func(a *announcement) { a.quic++ },
		"tcp":      func(a *announcement) { a.tcp++ },
	} {
		b := a
		change(&b)
		if got := recognise(b, mine, noon); len(got) != 0 {
			t.Errorf("another %s: still recognised", name)
		}
	}
}

// Two contacts' announcements share no tag, and neither do two epochs or two
// names of one device. Control: an unblinded tag would be the same in all.
func TestTagsDontLink(t *testing.T) {
	both := secrets(3)
	base := blank()
	all := map[tag]bool{}
	n := 0
	for _, a := range []announcement{
		announce(base, both, 0, noon), announce(blank(), both, 0, noon), announce(base, both, 0, noon.Add(epochLength)),
	} {
		for _, x := range a.tags {
			all[x] = true
			n++
		}
	}
	if len(all) != n {
		t.Errorf("%d tags, %d different", n, len(all))
	}
	// Control: the same device under the same name in the same epoch is one.
	x, y := announce(base, both, 0, noon), announce(base, both, 0, noon)
	same := 0
	for _, v := range x.tags {
		if slices.Contains(y.tags[:], v) {
			same++
		}
	}
	if same != 3 {
		t.Errorf("%d tags in common", same)
	}
}

// However many contacts there are, an announcement looks the same and each
// gets a turn.
func TestEveryContactGetsATurn(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 100} {
		mine := secrets(n)
		s := &speaker{l: NewLAN(Config{Secrets: func() []PairSecret { return mine }, Ports: func() (uint16, uint16) { return 1, 2 }}), air: &air{}}
		suite.Random(s.self.instance[:])
		seen := map[identity.AccountID]bool{}
		size := 0
		for range (n + slots - 1) / slots {
			a := announce(announcement{instance: s.self.instance, quic: 1, tcp: 2}, mine, s.turn, noon)
			for _, id := range recognise(a, mine, noon) {
				seen[id] = true
			}
			b, err := response(a)
			if err != nil {
				t.Fatal(err)
			}
			if size != 0 && len(b) != size {
				t.Error("announcements differ in length")
			}
			size = len(b)
			s.say(noon)
		}
		if len(seen) != n {
			t.Errorf("%d of %d contacts had a turn", len(seen), n)
		}
	}
}

// Nothing that names a person, a device or a machine is in what is sent.
func TestNothingButRandomOnTheAir(t *testing.T) {
	mine := secrets(3)
	q, err := question()
	if err != nil {
		t.Fatal(err)
	}
	a := announce(blank(), mine, 0, noon)
	r, err := response(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{q, r} {
		for _, s := range mine {
			if bytes.Contains(b, s.Account[:8]) || bytes.Contains(b, s.Secret[:8]) {
				t.Error("an account or a secret is in the clear")
			}
		}
	}
	// What is left after the service's name, the instance and the tags is
	// constant.
	b := announce(blank(), nil, 0, noon)
	r2, err := response(b)
	if err != nil {
		t.Fatal(err)
	}
	mask := func(msg []byte, a announcement) string {
		s := strings.ReplaceAll(string(msg), fmt.Sprintf("%x", a.instance), "I")
		return strings.ReplaceAll(s, string(a.marshal()), "A")
	}
	if mask(r, a) != mask(r2, b) {
		t.Error("two announcements differ in more than random bytes")
	}
}

func TestSpeakerAnswers(t *testing.T) {
	mine := secrets(1)
	var found []ma.Multiaddr
	s := &speaker{
		l: NewLAN(Config{
			Secrets: func() []PairSecret { return mine }, Ports: func() (uint16, uint16) { return 1, 2 },
			Found: func(_ identity.AccountID, a []ma.Multiaddr) { found = a },
		}),
		air: &air{}, seen: map[[16]byte]bool{},
	}
	s.self = blank()
	from := netip.MustParseAddr("192.168.1.7")
	theirs := announce(blank(), mine, 0, noon)
	if !s.hear(packet{heard{announced: []announcement{theirs}}, from}, noon) {
		t.Error("a new instance gets no answer")
	}
	if len(found) != 2 || found[0].String() != "/ip4/192.168.1.7/udp/4001/quic-v1" || found[1].String() != "/ip4/192.168.1.7/tcp/4002" {
		t.Errorf("found %v", found)
	}
	if s.hear(packet{heard{announced: []announcement{theirs}}, from}, noon) {
		t.Error("a known instance gets an answer")
	}
	found = nil
	own := announce(s.self, mine, 0, noon)
	if s.hear(packet{heard{announced: []announcement{own}}, from}, noon) || found != nil {
		t.Error("it finds itself")
	}
	if !s.hear(packet{heard{asked: true}, from}, noon) {
		t.Error("a question gets no answer")
	}
	s.say(noon)
	if s.hear(packet{heard{asked: true}, from}, noon.Add(firstRound/2)) {
		t.Error("questions are answered more than once a second")
	}
}

// Two devices on a real local network. It needs an interface with multicast.
func TestOnTheAir(t *testing.T) {
	shared := secrets(1)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	type sighting struct {
		by    int
		addrs []ma.Multiaddr
	}
	found := make(chan sighting, 64)
	done := make(chan error, 2)
	for i := range 2 {
		l := NewLAN(Config{
			Secrets: func() []PairSecret { return shared },
			Ports:   func() (uint16, uint16) { return uint16(5000 + i), 0 },
			Found: func(_ identity.AccountID, a []ma.Multiaddr) {
				select {
				case found <- sighting{i, a}:
				default:
				}
			},
		})
		go func() { done <- l.Run(ctx) }()
	}
	var saw [2]bool
	var failed error
	running := 2
	for !(saw[0] && saw[1]) && running == 2 {
		select {
		case s := <-found:
			port, err := s.addrs[0].ValueForProtocol(ma.P_UDP)
			if err != nil || port != fmt.Sprint(5000+1-s.by) {
				t.Errorf("%d found %v", s.by, s.addrs)
			}
			saw[s.by] = true
		case failed = <-done:
			running--
		}
	}
	cancel()
	for ; running > 0; running-- {
		if err := <-done; failed == nil {
			failed = err
		}
	}
	if !saw[0] || !saw[1] {
		t.Skipf("no multicast on this machine: %v", failed)
	}
}

func TestOrder(t *testing.T) {
	p := func(ss ...string) (out []ma.Multiaddr) {
		for _, s := range ss {
			out = append(out, ma.StringCast(s))
		}
		return out
	}
	got := Order(
		p("/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"),
		p("/ip4/5.5.5.5/tcp/1", "/ip4/10.0.0.1/tcp/1"),
		nil,
		p("/ip4/5.5.5.5/tcp/1", "/ip4/5.5.5.5/udp/1/quic-v1"),
	)
	want := p("/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1", "/ip4/5.5.5.5/tcp/1", "/ip4/5.5.5.5/udp/1/quic-v1")
	if !slices.EqualFunc(got, want, ma.Multiaddr.Equal) {
		t.Errorf("%v", got)
	}
	var many []ma.Multiaddr
	for i := range 40 {
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.1/tcp/%d", i+1)))
	}
	if n := len(Order(many)); n != MaxAddrs {
		t.Errorf("%d addresses", n)
	}
}

func FuzzAnnouncement(f *testing.F) {
	f.Add(blank().marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := parseAnnouncement(b); err == nil && !bytes.Equal(a.marshal(), b) {
			t.Errorf("%x re-encodes differently", b)
		}
	})
}

func FuzzParse(f *testing.F) {
	q, _ := question()
	r, _ := response(blank())
	f.Add(q)
	f.Add(r)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parse(b)
		if len(b) > maxMessage && err == nil || len(h.announced) > maxRecords {
			t.Error("unbounded")
		}
		for _, a := range h.announced {
			r, err := response(a)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parse(r)
			if err != nil || len(again.announced) != 1 || again.announced[0] != a {
				t.Errorf("an announcement does not survive: %v", err)
			}
		}
	})
}
