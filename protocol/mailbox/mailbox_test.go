package mailbox_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/pow"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// A codec is one frame: an example, the limit of its body and what reading a
// body gives, encoded again.
type codec struct {
	example []byte
	limit   mailbox.Limit
	again   func(body []byte) ([]byte, error)
}

func again[T any](parse func([]byte) (T, error), app func(*T, []byte) []byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b)
		if err != nil {
			return nil, err
		}
		return app(&v, nil), nil
	}
}

func env(c envelope.Class) []byte {
	b := make([]byte, c.Size())
	suite.Random(b)
	return b
}

func aReceipt() *receipt.Receipt {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	return &receipt.Sign(key, 3, 20000, make([][32]byte, 5))[2]
}

var codecs = map[string]codec{
	"deposit": {
		(&mailbox.Deposit{ID: 1, TTL: 30, Receipt: true, Stamp: stamp.Stamp{1, 2}, Envelope: env(envelope.L)}).Append(nil),
		mailbox.DepositLimit, again(mailbox.ParseDeposit, (*mailbox.Deposit).Append),
	},
	"request": {
		(&mailbox.Request{ID: 1, Lane: [32]byte{1}, Day: 20000, Effort: 64, Proof: pow.Proof{5}, Envelope: env(envelope.M)}).Append(nil),
		mailbox.DepositLimit, again(mailbox.ParseRequest, (*mailbox.Request).Append),
	},
	"unsend": {
		(&mailbox.Unsend{ID: 9, Object: [16]byte{1}, Cure: [16]byte{2}}).Append(nil),
		mailbox.DepositLimit, again(mailbox.ParseUnsend, (*mailbox.Unsend).Append),
	},
	"stored": {
		(&mailbox.Stored{ID: 1, ExpDay: 20000, Dup: true, Receipt: aReceipt()}).Append(nil),
		mailbox.DepositAnswerLimit, again(mailbox.ParseStored, (*mailbox.Stored).Append),
	},
	"unsent": {
		mailbox.AppendUnsent(nil, 7), mailbox.DepositAnswerLimit,
		again(mailbox.ParseUnsent, func(id *uint32, dst []byte) []byte { return mailbox.AppendUnsent(dst, *id) }),
	},
	"err": {
		(&mailbox.Err{ID: 4, Code: mailbox.CodeTime, RetryAfter: 9, Extra: mailbox.TimeExtra(time.Unix(5, 0))}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseErr, func(e **mailbox.Err, dst []byte) []byte { return (*e).Append(dst) }),
	},
	"hello": {
		(&mailbox.Hello{Unix: 5, Hosting: mailbox.HostWork, HostEffort: 6, LaneEffort: 64, TTL: 30, Quota: 1 << 25, Lane: 64}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseHello, (*mailbox.Hello).Append),
	},
	"auth": {
		(&mailbox.Auth{Mailbox: [32]byte{1}}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseAuth, (*mailbox.Auth).Append),
	},
	"state": {
		(&mailbox.State{Found: true, Next: 9, First: 3, Live: 2048, Overflow: 1, Batch: 8}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseState, (*mailbox.State).Append),
	},
	"no state": {
		(&mailbox.State{}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseState, (*mailbox.State).Append),
	},
	"create": {
		(&mailbox.Create{Lane: true, Quota: 5, Proof: []byte("token")}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseCreate, (*mailbox.Create).Append),
	},
	"stamps": {
		(&mailbox.Stamps{Class: envelope.S, Count: 4096}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseStamps, (*mailbox.Stamps).Append),
	},
	"minted": {
		(&mailbox.Minted{First: 5, Stamps: make([]stamp.Stamp, 3)}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseMinted, (*mailbox.Minted).Append),
	},
	"revoke": {
		(&mailbox.Revoke{Ranges: []mailbox.Range[uint32]{{1, 5}, {9, 9}}}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseRevoke, (*mailbox.Revoke).Append),
	},
	"revoked": {
		mailbox.AppendRevoked(nil, 7), mailbox.OwnerAnswerLimit,
		again(mailbox.ParseRevoked, func(n *uint32, dst []byte) []byte { return mailbox.AppendRevoked(dst, *n) }),
	},
	"trim": {
		(&mailbox.Trim{Ranges: []mailbox.Range[uint64]{{0, 0}, {2, 1<<64 - 1}}}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseTrim, (*mailbox.Trim).Append),
	},
	"trimmed": {
		(&mailbox.Trimmed{Count: 5, Live: 9}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseTrimmed, (*mailbox.Trimmed).Append),
	},
	"fetch": {
		(&mailbox.Fetch{After: 5, MaxBytes: 1 << 20, Wait: 600}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseFetch, (*mailbox.Fetch).Append),
	},
	"env": {
		(&mailbox.Env{Seq: 5, Day: 20000, Lane: true, Envelope: env(envelope.S)}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseEnv, (*mailbox.Env).Append),
	},
	"end": {
		(&mailbox.End{Next: 6, Batch: 9, More: true}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseEnd, (*mailbox.End).Append),
	},
	"ids": {
		(&mailbox.IDs{After: 6, Max: 1000}).Append(nil),
		mailbox.OwnerLimit, again(mailbox.ParseIDs, (*mailbox.IDs).Append),
	},
	"tags": {
		(&mailbox.Tags{Next: 9, Tags: []mailbox.Tag{{Seq: 1}, {Seq: 2, Tag: [16]byte{1}}}}).Append(nil),
		mailbox.OwnerAnswerLimit, again(mailbox.ParseTags, (*mailbox.Tags).Append),
	},
}

// Every frame reads back, fits its limit, and is refused one byte short.
func TestFrames(t *testing.T) {
	for name, c := range codecs {
		typ, n := wire.ParseFrameHeader([wire.FrameHeader]byte(c.example))
		body := c.example[wire.FrameHeader:]
		if n != len(body) || n > c.limit(typ) {
			t.Errorf("%s: %d bytes of %d, limit %d", name, n, len(body), c.limit(typ))
		}
		if got, err := c.again(body); err != nil || !bytes.Equal(got, c.example) {
			t.Errorf("%s: %v", name, err)
		}
		switch name {
		case "err": // its end is free text
		default:
			if _, err := c.again(body[:n-1]); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s: one byte short: %v", name, err)
			}
		}
	}
	for _, limit := range []mailbox.Limit{mailbox.DepositLimit, mailbox.DepositAnswerLimit, mailbox.OwnerLimit, mailbox.OwnerAnswerLimit} {
		if limit(0) >= 0 || limit(0xff) >= 0 {
			t.Error("an unknown type is allowed")
		}
	}
}

// The longest of each kind fits its limit exactly.
func TestLimits(t *testing.T) {
	ranges := make([]mailbox.Range[uint64], mailbox.MaxRanges)
	for i := range ranges {
		ranges[i] = mailbox.Range[uint64]{From: uint64(2 * i), To: uint64(2 * i)}
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	for name, c := range map[string]struct {
		frame []byte
		limit mailbox.Limit
	}{
		"deposit": {codecs["deposit"].example, mailbox.DepositLimit},
		"request": {codecs["request"].example, mailbox.DepositLimit},
		"unsend":  {codecs["unsend"].example, mailbox.DepositLimit},
		"stored":  {(&mailbox.Stored{Receipt: &receipt.Sign(key, 1, 1, make([][32]byte, receipt.MaxLeaves))[0]}).Append(nil), mailbox.DepositAnswerLimit},
		"err":     {(&mailbox.Err{Extra: make([]byte, mailbox.MaxExtra)}).Append(nil), mailbox.DepositAnswerLimit},
		"hello":   {codecs["hello"].example, mailbox.OwnerAnswerLimit},
		"state":   {codecs["state"].example, mailbox.OwnerAnswerLimit},
		"create":  {(&mailbox.Create{Proof: make([]byte, mailbox.MaxProof)}).Append(nil), mailbox.OwnerLimit},
		"minted":  {(&mailbox.Minted{Stamps: make([]stamp.Stamp, mailbox.MaxMint)}).Append(nil), mailbox.OwnerAnswerLimit},
		"trim":    {(&mailbox.Trim{Ranges: ranges}).Append(nil), mailbox.OwnerLimit},
		"env":     {(&mailbox.Env{Envelope: env(envelope.L)}).Append(nil), mailbox.OwnerAnswerLimit},
		"tags":    {(&mailbox.Tags{Tags: make([]mailbox.Tag, mailbox.MaxTags)}).Append(nil), mailbox.OwnerAnswerLimit},
		"close":   {mailbox.AppendClose(nil, make([]byte, mailbox.MaxMoved)), mailbox.OwnerLimit},
		"closed":  {mailbox.AppendClosed(nil), mailbox.OwnerAnswerLimit},
	} {
		if typ, n := wire.ParseFrameHeader([wire.FrameHeader]byte(c.frame)); n != c.limit(typ) {
			t.Errorf("%s: %d bytes, limit %d", name, n, c.limit(typ))
		}
	}
}

// What would be a second spelling, or is out of bounds, is refused.
func TestRefused(t *testing.T) {
	e := env(envelope.S)
	w := func() *wire.Writer { return wire.NewWriter(nil) }
	for name, c := range map[string]struct {
		body  []byte
		parse func([]byte) error
	}{
		"ttl 0":            {w().U32(1).U8(0).U8(0).Raw(make([]byte, stamp.Size)).Raw(e).Out(), errOf(mailbox.ParseDeposit)},
		"unknown flag":     {w().U32(1).U8(1).U8(2).Raw(make([]byte, stamp.Size)).Raw(e).Out(), errOf(mailbox.ParseDeposit)},
		"another length":   {w().U32(1).U8(1).U8(0).Raw(make([]byte, stamp.Size)).Raw(e[1:]).Out(), errOf(mailbox.ParseDeposit)},
		"large request":    {w().U32(1).U8(0).Raw(make([]byte, 32+2+4+pow.Size)).Raw(env(envelope.L)).Out(), errOf(mailbox.ParseRequest)},
		"hello version":    {w().U8(2).Raw(make([]byte, 60)).Out(), errOf(mailbox.ParseHello)},
		"state of nothing": {w().Bool(false).U8(0).Out(), errOf(mailbox.ParseState)},
		"no stamps":        {w().U8(1).U16(0).Out(), errOf(mailbox.ParseStamps)},
		"many stamps":      {w().U8(1).U16(mailbox.MaxMint + 1).Out(), errOf(mailbox.ParseStamps)},
		"class 4":          {w().U8(4).U16(1).Out(), errOf(mailbox.ParseStamps)},
		"long wait":        {w().U64(0).U32(1).U16(mailbox.MaxWait + 1).Out(), errOf(mailbox.ParseFetch)},
		"no ids":           {w().U64(0).U16(0).Out(), errOf(mailbox.ParseIDs)},
		"range backwards":  {w().U64(2).U64(1).Out(), errOf(mailbox.ParseTrim)},
		"ranges touch":     {w().U64(1).U64(2).U64(3).U64(4).Out(), errOf(mailbox.ParseTrim)},
		"ranges overlap":   {w().U64(1).U64(5).U64(3).U64(9).Out(), errOf(mailbox.ParseTrim)},
		"after the last":   {w().U64(1).U64(1<<64 - 1).U64(0).U64(4).Out(), errOf(mailbox.ParseTrim)},
		"tags backwards":   {w().U64(9).Bool(false).U64(2).Raw(e[:16]).U64(2).Raw(e[:16]).Out(), errOf(mailbox.ParseTags)},
		"long extra":       {w().U32(0).U8(1).U32(0).Raw(make([]byte, mailbox.MaxExtra+1)).Out(), errOf(mailbox.ParseErr)},
	} {
		if err := c.parse(c.body); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func errOf[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error { _, err := parse(b); return err }
}

func TestRanges(t *testing.T) {
	got := mailbox.RangesOf([]uint64{5, 1, 2, 3, 9, 3, 1<<64 - 1})
	want := []mailbox.Range[uint64]{{From: 1, To: 3}, {From: 5, To: 5}, {From: 9, To: 9}, {From: 1<<64 - 1, To: 1<<64 - 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAuth(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	relay, nonce, channel := [32]byte{1}, [32]byte{2}, []byte("peer")
	a := mailbox.SignAuth(key, relay, nonce, channel)
	if !a.Verify(relay, nonce, channel) {
		t.Fatal("refused")
	}
	for name, ok := range map[string]bool{
		"relay": a.Verify([32]byte{9}, nonce, channel), "nonce": a.Verify(relay, [32]byte{9}, channel), "channel": a.Verify(relay, nonce, []byte("else")),
	} {
		if ok {
			t.Errorf("good for another %s", name)
		}
	}
	b := a
	b.Mailbox[0] ^= 1
	if b.Verify(relay, nonce, channel) {
		t.Error("good for another mailbox")
	}
}

func TestErr(t *testing.T) {
	e := &mailbox.Err{Code: mailbox.CodeEffort, Extra: mailbox.EffortExtra(77)}
	if v, ok := e.Effort(); !ok || v != 77 {
		t.Errorf("effort %d", v)
	}
	if _, ok := e.Time(); ok {
		t.Error("an effort is a time")
	}
	e = &mailbox.Err{Code: mailbox.CodeTime, Extra: mailbox.TimeExtra(time.Unix(99, 0))}
	if v, ok := e.Time(); !ok || v.Unix() != 99 {
		t.Errorf("time %v", v)
	}
	texts := map[string]bool{}
	for c := range mailbox.Code(20) {
		texts[(&mailbox.Err{Code: c}).Error()] = true
	}
	if len(texts) != 20 {
		t.Error("two codes read the same")
	}
}

// Names depend on each of what they are made of.
func TestNames(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	all := [][]byte{}
	add := func(x [32]byte) { all = append(all, x[:]) }
	add(mailbox.LaneAddr(a, [16]byte{}))
	add(mailbox.LaneAddr(b, [16]byte{}))
	add(mailbox.LaneAddr(a, [16]byte{1}))
	add(mailbox.RequestChallenge(a, b, 1, [16]byte{}))
	add(mailbox.RequestChallenge(b, a, 1, [16]byte{}))
	add(mailbox.RequestChallenge(a, b, 2, [16]byte{}))
	add(mailbox.RequestChallenge(a, b, 1, [16]byte{1}))
	add(mailbox.HostChallenge(a, b, 1))
	add(mailbox.HostChallenge(b, a, 1))
	add(mailbox.HostChallenge(a, b, 2))
	for i := range all {
		for j := range i {
			if reflect.DeepEqual(all[i], all[j]) {
				t.Errorf("names %d and %d are equal", i, j)
			}
		}
	}
	if mailbox.Object(a[:]) == mailbox.Object(b[:]) {
		t.Error("two envelopes have one id")
	}
}

func fuzz(f *testing.F, name string) {
	f.Helper()
	c := codecs[name]
	f.Add(c.example[wire.FrameHeader:])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := c.again(b)
		if err == nil && !bytes.Equal(got[wire.FrameHeader:], b) {
			t.Fatal("two spellings")
		}
	})
}

func FuzzDeposit(f *testing.F) { fuzz(f, "deposit") }
func FuzzRequest(f *testing.F) { fuzz(f, "request") }
func FuzzUnsend(f *testing.F)  { fuzz(f, "unsend") }
func FuzzStored(f *testing.F)  { fuzz(f, "stored") }
func FuzzUnsent(f *testing.F)  { fuzz(f, "unsent") }
func FuzzErr(f *testing.F)     { fuzz(f, "err") }
func FuzzHello(f *testing.F)   { fuzz(f, "hello") }
func FuzzAuth(f *testing.F)    { fuzz(f, "auth") }
func FuzzState(f *testing.F)   { fuzz(f, "state") }
func FuzzCreate(f *testing.F)  { fuzz(f, "create") }
func FuzzStamps(f *testing.F)  { fuzz(f, "stamps") }
func FuzzMinted(f *testing.F)  { fuzz(f, "minted") }
func FuzzRevoke(f *testing.F)  { fuzz(f, "revoke") }
func FuzzRevoked(f *testing.F) { fuzz(f, "revoked") }
func FuzzTrim(f *testing.F)    { fuzz(f, "trim") }
func FuzzTrimmed(f *testing.F) { fuzz(f, "trimmed") }
func FuzzFetch(f *testing.F)   { fuzz(f, "fetch") }
func FuzzEnv(f *testing.F)     { fuzz(f, "env") }
func FuzzEnd(f *testing.F)     { fuzz(f, "end") }
func FuzzIDs(f *testing.F)     { fuzz(f, "ids") }
func FuzzTags(f *testing.F)    { fuzz(f, "tags") }
