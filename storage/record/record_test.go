package record_test

import (
	"bytes"
	"testing"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/stamp"
	"rushlight/storage/record"
)

// marshaler is what every kind of record has.
type marshaler interface{ Marshal() []byte }

// parser makes a decoder comparable with the others.
func parser[T marshaler](parse func([]byte) (T, error)) func([]byte) (marshaler, error) {
	return func(b []byte) (marshaler, error) { return parse(b) }
}

var parsers = []func([]byte) (marshaler, error){
	parser(record.ParseSelf), parser(record.ParseContact), parser(record.ParseInvite), parser(record.ParsePrekey),
	parser(record.ParseJoin), parser(record.ParseAwaiting), parser(record.ParseNode), parser(record.ParseSession), parser(record.ParseChain),
	parser(record.ParseWindow), parser(record.ParseOutbox), parser(record.ParseConversation),
	parser(record.ParseMessage), parser(record.ParseIndex), parser(record.ParseNumber), parser(record.ParseEvent),
	parser(record.ParseCounter), parser(record.ParsePeer), parser(record.ParseAnswered),
	parser(record.ParseDue), parser(record.ParseEdit), parser(record.ParseReactions),
	parser(record.ParseChat), parser(record.ParseDraft),
	parser(record.ParseServer), parser(record.ParseOwner), parser(record.ParseFriend),
	parser(record.ParseRelay), parser(record.ParsePool), parser(record.ParseStamps), parser(record.ParseGiven), parser(record.ParsePlaces), parser(record.ParseBundles),
	parser(record.ParsePosted), parser(record.ParseAsked), parser(record.ParseIssue),
	parser(record.ParseLeft), parser(record.ParseWithdrawal), parser(record.ParseRevoked), parser(record.ParseAhead),
	parser(record.ParseFiles),
}

// examples has one filled-in record of each kind, in the order of parsers.
var examples = []marshaler{
	&record.Self{Device: []byte{1}, Manifest: []byte{2, 3}, AccountKey: []byte{4}, HostKey: [32]byte{5}, Name: "ann"},
	&record.Contact{State: record.ContactApproved, Petname: "bob", Verified: true, Card: []byte{1}, Added: 7, Undecided: true, Greeting: "hi"},
	&record.Invite{ID: [16]byte{1}, Expires: 9, Note: "n", Uses: []record.InviteUse{{Bundle: []byte{1}, Secret: []byte{2}}, {Used: true}}, TurnedAway: []identity.AccountID{{6}}},
	&record.Prekey{Bundle: []byte{1}, Secret: []byte{2}, Made: 3, Uses: [][32]byte{{4}}, Replaced: 5},
	&record.Join{Link: "rushlight:x", Started: 1, Sent: true, Greeting: "hi"},
	&record.Awaiting{Account: [32]byte{1}, Since: 2},
	&record.Node{Port: 4001},
	&record.Session{Generation: 2, Created: 1, Lost: 2, Dead: true, State: []byte{1, 2, 3}},
	&record.Chain{LastOutbox: 5, Pending: 3, State: []byte{1}, Sessions: []record.SessionRef{{Floor: 8}}},
	&record.Window{Chains: []record.WindowChain{{State: []byte{1}, Behind: []byte{2}}, {}}},
	&record.Outbox{Kind: record.OutboxSession, Packet: []byte{1}, Class: 1, Folded: []byte{2}, MAC: [16]byte{3}},
	&record.Conversation{History: []byte{1}, Skip: 4, Waiting: 1, Unread: 2, FirstNew: []byte{0x41}},
	&record.Message{Mine: true, Received: 3, Content: []byte{1}},
	&record.Index{Key: []byte{0x41, 1}, Order: 1, State: record.StateRead, Missing: 1},
	&record.Number{ID: [16]byte{1}, Prev: [32]byte{2}},
	&record.Event{Type: record.EventState, At: 1, State: record.StateDelivered},
	&record.Counter{NextEvent: 1},
	&record.Peer{Seen: 4},
	&record.Answered{Session: [16]byte{1}},
	&record.Due{Account: [32]byte{1}, Header: []byte{2}},
	&record.Edit{Time: 1, ID: [16]byte{2}, Body: []byte{3}},
	&record.Reactions{All: []record.Reaction{{Account: [32]byte{1}, Time: 2, ID: [16]byte{3}, Emoji: "x"}, {}}},
	&record.Chat{Receipts: true, Pinned: true, Muted: 7},
	&record.Draft{Text: "hel", ReplyTo: [16]byte{1}},
	&record.Server{Peer: []byte{1, 2}, Addrs: [][]byte{{3}}, Seen: 5, Failures: 1},
	&record.Owner{Keys: [64]byte{1}},
	&record.Friend{Reader: [64]byte{1}, Made: 2, Hints: []identity.Hint{{Peer: []byte{3}, Addr: []byte{4}}}, Vouched: [][32]byte{{5}}, Purse: 6, PurseAt: 7},
	&record.Relay{Key: [32]byte{1}, Addrs: [][]byte{{2}}, Token: []byte{3}, Ready: true, Next: 4, Refused: 5, Crowded: 6, Full: 7},
	&record.Pool{Next: 2, Batches: []record.Batch{record.NewBatch(0, 1, 2, 3), record.NewBatch(1, 4, 2, 16)}},
	&record.Stamps{All: []stamp.Stamp{{1}, {2}}},
	&record.Given{Seq: 1, Relays: []record.GivenRelay{{Left: [3]uint16{1, 2, 3}, Serials: []uint32{4}}}, Spares: [][32]byte{{5}}, Standing: [][32]byte{{6}, {7}}, Held: true},
	head(&record.Places{
		Seq: 1, Relays: []record.Place{{Addrs: [][]byte{{1}}, Stamps: [3][]stamp.Stamp{{{1}}, nil, {{2}}}, Full: 7}},
		Owed: [][16]byte{{4}}, Heard: [][16]byte{{5}},
	}),
	&record.Bundles{Spares: [][]byte{{3}}, Standing: []byte{6}},
	&record.Posted{Seq: 1, Rounds: 2, Due: 3, Since: 4, Copies: []record.Copy{{Stored: true}}},
	&record.Asked{Content: []byte{1}, Deposits: []record.Copy{{}}},
	&record.Issue{Seq: 1},
	&record.Left{Copies: []record.LeftCopy{{Addrs: [][]byte{{1}}, Made: 2}, {Cure: [16]byte{3}}}},
	&record.Withdrawal{LeftCopy: record.LeftCopy{Object: [16]byte{1}}, Due: 2, Until: 3, Sure: true},
	&record.Revoked{Serials: []uint32{1, 5}},
	&record.Ahead{By: -3 * time.Second},
	&record.Files{Wishes: []record.FileWish{record.FileAuto, record.FileLeft}},
}

func TestIndexWithFiles(t *testing.T) {
	x := &record.Index{Key: []byte{0x41, 1}, Order: 1, State: record.StateRead, Files: true}
	got, err := record.ParseIndex(x.Marshal())
	if err != nil || !got.Files {
		t.Fatal(got, err)
	}
	x.Files = false
	if _, err := record.ParseIndex(append(x.Marshal(), 0)); err == nil {
		t.Error("that there are none has two spellings")
	}
}

func TestEveryRecordComesBack(t *testing.T) {
	if len(examples) != len(parsers) {
		t.Fatalf("%d examples for %d kinds of records", len(examples), len(parsers))
	}
	for i, want := range examples {
		b := want.Marshal()
		got, err := parsers[i](b)
		if err != nil {
			t.Errorf("%T: %v", want, err)
			continue
		}
		if !bytes.Equal(got.Marshal(), b) {
			t.Errorf("%T: comes back as something else", want)
		}
		for n := range b {
			if _, err := parsers[i](b[:n]); err == nil {
				t.Errorf("%T: accepted when cut off at %d of %d bytes", want, n, len(b))
			}
		}
		if _, err := parsers[i](append(b, 0)); err == nil {
			t.Errorf("%T: accepted with a byte too many", want)
		}
	}
}

// FuzzRecord checks that what a decoder accepts has one spelling.
func FuzzRecord(f *testing.F) {
	for i, m := range examples {
		f.Add(uint8(i), m.Marshal())
		if _, ok := m.(*record.Places); ok {
			f.Add(uint8(i), formerPlaces())
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		m, err := parsers[int(kind)%len(parsers)](b)
		if err == nil && !bytes.Equal(m.Marshal(), b) {
			t.Fatalf("%T has a second spelling", m)
		}
	})
}
