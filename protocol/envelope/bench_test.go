package envelope_test

import (
	"testing"

	"rushlight/protocol/envelope"
)

// BenchmarkOutgoing is what the envelope of one short message costs its sender:
// packed for one device, folded for the outbox, and sealed for a stream.
func BenchmarkOutgoing(b *testing.B) {
	c := envelope.NewChain([32]byte{1}, [16]byte{2})
	slot, packet := [][]byte{seq(0, envelope.SlotSize)}, make([]byte, 260)
	b.ReportAllocs()
	for b.Loop() {
		_, mk := c.Next()
		content := envelope.NewContentKey()
		payload, err := envelope.Pack(envelope.S, content, slot, packet)
		if err != nil {
			b.Fatal(err)
		}
		folded := envelope.Fold(envelope.S, 1, payload)
		envelope.AckMAC([32]byte{3}, envelope.TagFor(mk, envelope.Direct), [16]byte{4})
		if payload, err = envelope.Unfold(envelope.S, content, 1, folded); err != nil {
			b.Fatal(err)
		}
		if _, err := envelope.Seal(nil, envelope.KeysFor(mk, envelope.Direct), envelope.S, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIncoming is what it costs the recipient.
func BenchmarkIncoming(b *testing.B) {
	c := envelope.NewChain([32]byte{1}, [16]byte{2})
	w := envelope.NewWindow([32]byte{1}, [16]byte{2})
	slot, packet := [][]byte{seq(0, envelope.SlotSize)}, make([]byte, 260)
	content := envelope.NewContentKey()
	payload, err := envelope.Pack(envelope.S, content, slot, packet)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		index, mk := c.Next()
		env, err := envelope.Seal(nil, envelope.KeysFor(mk, envelope.Direct), envelope.S, payload)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		envelope.AckMAC([32]byte{3}, envelope.TagOf(env), [16]byte{4})
		if mk, err = w.Key(index); err != nil {
			b.Fatal(err)
		}
		got, err := envelope.Open(envelope.KeysFor(mk, envelope.Direct), envelope.S, env)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := envelope.Unpack(envelope.S, got); err != nil {
			b.Fatal(err)
		}
		if _, err := envelope.OpenBody(envelope.S, content, got); err != nil {
			b.Fatal(err)
		}
		entered, err := w.Received(index)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range entered {
			envelope.TagFor(s.MK, envelope.Direct)
		}
	}
}
