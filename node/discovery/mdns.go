package discovery

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/net/dns/dnsmessage"

	"rushlight/protocol/wire"
)

// Announcements travel as multicast DNS (RFC 6762) and service discovery
// (RFC 6763), because networks and firewalls let that pass. A message is a
// response with one PTR and one TXT record under names made of the random
// instance; there is no SRV and no address record, so neither a host name nor
// the addresses of other interfaces appear: who hears it calls the address it
// came from. A question is a PTR query for the service.
const service = "_rushlight._udp.local."

// ttl is what other resolvers on the network may cache, in seconds.
const ttl = 120

// maxMessage bounds what is parsed.
const maxMessage = 1500

// txtKey begins the one string of the TXT record.
const txtKey = "r="

func question() ([]byte, error) {
	name, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("discovery: naming the service: %w", err)
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}}}
	return pack(m)
}

func response(a announcement) ([]byte, error) {
	svc, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("discovery: naming the service: %w", err)
	}
	self, err := dnsmessage.NewName(hex.EncodeToString(a.instance[:]) + "." + service)
	if err != nil {
		return nil, fmt.Errorf("discovery: naming the instance: %w", err)
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{
			{
				Header: dnsmessage.ResourceHeader{Name: svc, Class: dnsmessage.ClassINET, TTL: ttl},
				Body:   &dnsmessage.PTRResource{PTR: self},
			},
			{
				Header: dnsmessage.ResourceHeader{Name: self, Class: dnsmessage.ClassINET, TTL: ttl},
				Body:   &dnsmessage.TXTResource{TXT: []string{txtKey + string(a.marshal())}},
			},
		},
	}
	return pack(m)
}

func pack(m dnsmessage.Message) ([]byte, error) {
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("discovery: packing a message: %w", err)
	}
	return b, nil
}

// heard is what a message of the local network is for us.
type heard struct {
	asked     bool
	announced []announcement
}

// maxRecords bounds how much of a stranger's message is looked at.
const maxRecords = 16

// parse reads a message, which most often is somebody else's business. What
// follows a broken record is not looked at.
func parse(b []byte) (h heard, err error) {
	if len(b) > maxMessage {
		return h, fmt.Errorf("discovery: %w: message of %d bytes", wire.ErrMalformed, len(b))
	}
	var p dnsmessage.Parser
	head, err := p.Start(b)
	if err != nil {
		return h, fmt.Errorf("discovery: reading a message: %w", err)
	}
	if !head.Response {
		h.asked = asked(&p)
		return h, nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return h, fmt.Errorf("discovery: reading a message: %w", err)
	}
	h.announced = announced(&p)
	return h, nil
}

// asked reports whether one of the questions is about the service.
func asked(p *dnsmessage.Parser) bool {
	for range maxRecords {
		q, err := p.Question()
		if err != nil {
			return false
		}
		if q.Type == dnsmessage.TypePTR && q.Name.String() == service {
			return true
		}
	}
	return false
}

// announced returns the announcements among the answers.
func announced(p *dnsmessage.Parser) (out []announcement) {
	for range maxRecords {
		h, err := p.AnswerHeader()
		if err != nil {
			return out
		}
		if h.Type != dnsmessage.TypeTXT {
			if err := p.SkipAnswer(); err != nil {
				return out
			}
			continue
		}
		txt, err := p.TXTResource()
		if err != nil {
			return out
		}
		if a, ok := ours(h.Name.String(), txt.TXT); ok {
			out = append(out, a)
		}
	}
	return out
}

// ours reads a TXT record if it is an announcement under its own name.
func ours(name string, txt []string) (announcement, bool) {
	if len(txt) != 1 || len(txt[0]) < len(txtKey) || txt[0][:len(txtKey)] != txtKey {
		return announcement{}, false
	}
	a, err := parseAnnouncement([]byte(txt[0][len(txtKey):]))
	if err != nil || name != hex.EncodeToString(a.instance[:])+"."+service {
		return announcement{}, false
	}
	return a, true
}
