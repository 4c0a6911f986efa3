package message_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

func setOf(ranges ...message.Range) (s message.Intervals) {
	for _, r := range ranges {
		if err := s.AddRange(r); err != nil {
			panic(err)
		}
	}
	return s
}

func packets() []message.Packet {
	return []message.Packet{
		sample(),
		&message.Profile{Card: []byte("card")},
		&message.Profile{Card: []byte("card"), Delivery: make([]byte, 48), Note: "hi", Rest: []wire.Record{{Type: 9, Value: []byte{1}}}},
		&message.Receipt{Entries: []message.ReceiptEntry{
			{Conversation: message.ConversationID{1}, Delivered: setOf(message.Range{1, 9}, message.Range{12, 13}), Read: setOf(message.Range{1, 4})},
			{Conversation: message.ConversationID{2}, Delivered: setOf(message.Range{3, 3})},
		}},
		&message.Bundles{Bundles: [][]byte{{1}, {2, 3}, {4}}},
		&message.Unknown{Kind: 200, Bytes: []byte("later")},
		&message.Unknown{Kind: 5},
		&message.Erased{Reason: message.Unsent, Expiry: time.Hour, Message: sample().Erase()},
		&message.Notice{Conversation: message.ConversationID{1}, Kind: message.NoticeBurned, At: 7 << 16, IDs: []message.ID{{1}, {2}}},
		&message.Notice{Conversation: message.ConversationID{1}, Kind: message.NoticeTyping, At: 8 << 16},
		&message.Relays{Set: []byte("set"), Resend: true, Stamps: []message.RelayStamps{{{{1}}, nil, {{2}, {3}}}, {}}},
		&message.Acks{MACs: [][16]byte{{1}, {2}}},
		&message.Low{Relays: []message.LowRelay{{Key: [32]byte{1}, Left: [3]uint16{3, 2, 0}}, {Key: [32]byte{2}}}},
		&message.Unknown{Kind: 11, Bytes: []byte{ // was a question for parts
			1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x34, 0,
		}},
		&message.FilePart{Message: message.ID{1}, Nth: 2, Part: message.Part{Piece: 3, Offset: message.PartSize}, Bytes: []byte("sealed")},
		&message.Held{Conversation: message.ConversationID{1}, Author: [16]byte{2}, Set: setOf(message.Range{1, 9}, message.Range{12, 13})},
		&message.Held{Conversation: message.ConversationID{1}},
		&message.Compare{Conversation: message.ConversationID{1}, Author: [16]byte{2}, From: 1, Nonce: [16]byte{3}, Frame: []byte{1, 2}},
		&message.FileOrder{
			Message: message.ID{1}, Nth: 2, Device: [16]byte{3}, Relay: [32]byte{4},
			Runs: []message.Run{{9, 1}, {2, 3}}, Stamps: []stamp.Stamp{{1}, {2}, {3}, {4}},
		},
	}
}

func TestPackets(t *testing.T) {
	for _, p := range packets() {
		b, err := message.MarshalPacket(p)
		if err != nil {
			t.Fatalf("%T: %v", p, err)
		}
		got, err := message.ParsePacket(b)
		if err != nil {
			t.Fatalf("%T: %v", p, err)
		}
		again, err := message.MarshalPacket(got)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%T re-encodes differently, %v", p, err)
		}
		for _, bad := range [][]byte{append(bytes.Clone(b), 0), b[:len(b)-1]} {
			if _, ok := p.(*message.Unknown); ok {
				continue
			}
			if _, err := message.ParsePacket(bad); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%T of %d bytes instead of %d: %v", p, len(bad), len(b), err)
			}
		}
	}
}

func TestProfileFields(t *testing.T) {
	b, err := message.MarshalPacket(packets()[2])
	if err != nil {
		t.Fatal(err)
	}
	got, err := message.ParsePacket(b)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := got.(*message.Profile)
	if !ok || string(p.Card) != "card" || len(p.Delivery) != 48 || p.Note != "hi" || len(p.Rest) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestPacketRules(t *testing.T) {
	entry := message.ReceiptEntry{Delivered: setOf(message.Range{1, 1})}
	for name, p := range map[string]message.Packet{
		"bad message":          &message.Message{},
		"no card":              &message.Profile{},
		"card over limit":      &message.Profile{Card: make([]byte, message.MaxCard+1)},
		"delivery over limit":  &message.Profile{Card: []byte{1}, Delivery: make([]byte, 256)},
		"note over limit":      &message.Profile{Card: []byte{1}, Note: strings.Repeat("x", message.MaxNote+1)},
		"note no text":         &message.Profile{Card: []byte{1}, Note: "\xff"},
		"known record in rest": &message.Profile{Card: []byte{1}, Rest: []wire.Record{{Type: 2}}},
		"rest out of order":    &message.Profile{Card: []byte{1}, Rest: []wire.Record{{Type: 9}, {Type: 9}}},
		"no entries":           &message.Receipt{},
		"empty entry":          &message.Receipt{Entries: make([]message.ReceiptEntry, 1)},
		"entry twice":          &message.Receipt{Entries: []message.ReceiptEntry{entry, entry}},
		"read, not delivered":  &message.Receipt{Entries: []message.ReceiptEntry{{Delivered: setOf(message.Range{1, 3}), Read: setOf(message.Range{3, 4})}}},
		"no bundles":           &message.Bundles{},
		"four bundles":         &message.Bundles{Bundles: [][]byte{{1}, {2}, {3}, {4}}},
		"empty bundle":         &message.Bundles{Bundles: [][]byte{{}}},
		"bundle over limit":    &message.Bundles{Bundles: [][]byte{make([]byte, message.MaxBundle+1)}},
		"known kind, unknown":  &message.Unknown{Kind: message.KindReceipt},
		"erased for nothing":   &message.Erased{Message: sample().Erase()},
		"nothing erased":       &message.Erased{Reason: message.Unsent},
		"erased too late":      &message.Erased{Reason: message.Unsent, Expiry: 400 * 24 * time.Hour, Message: sample().Erase()},
		"part at an odd place": &message.FilePart{Part: message.Part{Offset: 1}, Bytes: []byte{1}},
		"part of nothing":      &message.FilePart{},
		"part too long":        &message.FilePart{Bytes: make([]byte, message.PartSize+1)},
		"part past the end":    &message.FilePart{Part: message.Part{Offset: 19 * message.PartSize}, Bytes: make([]byte, message.PartSize)},
		"orders nothing":       &message.FileOrder{},
		"order without stamps": &message.FileOrder{Runs: []message.Run{{1, 2}}},
		"empty run":            &message.FileOrder{Runs: []message.Run{{1, 1}, {3, 0}}, Stamps: make([]stamp.Stamp, 1)},
		"run in two":           &message.FileOrder{Runs: []message.Run{{1, 1}, {2, 1}}, Stamps: make([]stamp.Stamp, 2)},
		"ordered twice":        &message.FileOrder{Runs: []message.Run{{1, 3}, {2, 1}}, Stamps: make([]stamp.Stamp, 4)},
		"order over limit":     &message.FileOrder{Runs: []message.Run{{1, 257}}, Stamps: make([]stamp.Stamp, 257)},
		"order past the end":   &message.FileOrder{Runs: []message.Run{{1<<32 - 1, 1}}, Stamps: make([]stamp.Stamp, 1)},
		"file of no message":   &message.FilePart{Nth: 16, Bytes: []byte{1}},
		"notice of nothing":    &message.Notice{IDs: []message.ID{{1}}},
		"burned nothing":       &message.Notice{Kind: message.NoticeBurned},
		"types a message":      &message.Notice{Kind: message.NoticeTyping, IDs: []message.ID{{1}}},
		"ids unsorted":         &message.Notice{Kind: message.NoticeRead, IDs: []message.ID{{2}, {1}}},
		"id twice":             &message.Notice{Kind: message.NoticeRead, IDs: []message.ID{{2}, {2}}},
		"65 ids":               &message.Notice{Kind: message.NoticeRead, IDs: ids(65)},
		"packet over limit":    &message.Unknown{Kind: 99, Bytes: make([]byte, message.MaxPacket)},
	} {
		if _, err := message.MarshalPacket(p); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := func() *wire.Writer { return wire.NewWriter(nil) }
	for name, b := range map[string][]byte{
		"empty":            nil,
		"zeros":            make([]byte, 40),
		"over limit":       append([]byte{99}, make([]byte, message.MaxPacket)...),
		"no card":          w().U8(2).Record(3, []byte("hi")).Out(),
		"empty note":       w().U8(2).Record(1, []byte("c")).Record(3, nil).Out(),
		"note no text":     w().U8(2).Record(1, []byte("c")).Record(3, []byte{0xff}).Out(),
		"record 0":         w().U8(2).Record(0, []byte("c")).Record(1, []byte("c")).Out(),
		"empty entry":      w().U8(3).U8(1).Raw(make([]byte, 32)).U8(0).U8(0).Out(),
		"read undelivered": w().U8(3).U8(1).Raw(make([]byte, 32)).U8(1).U8(0).U8(0).U8(1).U8(1).U8(0).Out(),
		"empty bundle":     w().U8(4).U8(1).U16(0).Out(),
	} {
		if _, err := message.ParsePacket(b); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ids(n int) (out []message.ID) {
	for i := range n {
		out = append(out, message.ID{byte(i >> 8), byte(i)})
	}
	return out
}

func FuzzPacket(f *testing.F) {
	for _, p := range packets() {
		b, err := message.MarshalPacket(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := message.ParsePacket(b)
		if err != nil {
			return
		}
		again, err := message.MarshalPacket(p)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%T has two spellings, %v", p, err)
		}
	})
}
