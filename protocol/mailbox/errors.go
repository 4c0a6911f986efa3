package mailbox

import (
	"fmt"
	"time"

	"rushlight/protocol/wire"
)

// Code says why a relay did not do what it was asked (spec §12.7).
type Code uint8

// The codes. They are those of direct streams where both have one.
const (
	CodeSpent   Code = 1  // the stamp was used for another envelope, or taken back
	CodeExpired Code = 2  // the stamp is too old, or not of this relay
	CodeFull    Code = 3  // the mailbox, or the relay, has no room
	CodeClass   Code = 4  // the stamp is for another class
	CodeBusy    Code = 5  // the same bytes may be taken after RetryAfter
	CodeGone    Code = 6  // the mailbox was closed; Extra is what its owner left
	CodeEffort  Code = 7  // more work is needed; Extra is the effort that passes now, u32
	CodeTime    Code = 8  // the day isn't the relay's; Extra is the relay's time, u64
	CodeTooBig  Code = 9  // more stamps, or another quota, than there may be
	CodeUnknown Code = 10 // there is no such lane, mailbox or envelope
	CodeRefused Code = 12 // the proof for a new mailbox isn't one, or the frame can't come here
)

// Err is a refusal (spec §12.7). It implements error, and says nothing about
// who was refused.
type Err struct {
	ID         uint32 // of the request; 0 on /rushlight/mbx/1
	Code       Code
	RetryAfter uint32 // seconds; 0 when waiting is no use
	Extra      []byte
}

const errHead = 4 + 1 + 4

var codeTexts = map[Code]string{
	CodeSpent: "the stamp is spent", CodeExpired: "the stamp has expired", CodeFull: "no room",
	CodeClass: "the stamp is for another size", CodeBusy: "busy", CodeGone: "the mailbox has moved",
	CodeEffort: "more work is needed", CodeTime: "the clocks differ", CodeTooBig: "too much was asked for",
	CodeUnknown: "not found", CodeRefused: "refused",
}

// Error implements error.
func (e *Err) Error() string {
	if text := codeTexts[e.Code]; text != "" {
		return "relay: " + text
	}
	return fmt.Sprintf("relay: refused with code %d", e.Code)
}

// Append encodes the frame behind dst.
func (e *Err) Append(dst []byte) []byte {
	return frame(dst, TypeErr, func(w *wire.Writer) {
		w.U32(e.ID).U8(uint8(e.Code)).U32(e.RetryAfter).Raw(e.Extra)
	})
}

// ParseErr reads the body of a frame. Unknown codes are kept.
func ParseErr(b []byte) (*Err, error) {
	r := wire.NewReader(b)
	e := &Err{ID: r.U32(), Code: Code(r.U8()), RetryAfter: r.U32()}
	if e.Extra = r.Rest(); len(e.Extra) > MaxExtra {
		r.Fail("too much besides")
	}
	if err := done("err", r); err != nil {
		return nil, err
	}
	return e, nil
}

// EffortExtra is what Extra holds with CodeEffort.
func EffortExtra(effort uint32) []byte { return wire.NewWriter(nil).U32(effort).Out() }

// TimeExtra is what Extra holds with CodeTime.
func TimeExtra(now time.Time) []byte { return wire.NewWriter(nil).U64(uint64(now.Unix())).Out() }

// Effort is the effort that passes now, with CodeEffort.
func (e *Err) Effort() (uint32, bool) {
	r := wire.NewReader(e.Extra)
	v := r.U32()
	return v, r.Close() == nil && e.Code == CodeEffort
}

// Time is the relay's clock, with CodeTime.
func (e *Err) Time() (time.Time, bool) {
	r := wire.NewReader(e.Extra)
	v := r.U64()
	return time.Unix(int64(min(v, 1<<40)), 0).UTC(), r.Close() == nil && e.Code == CodeTime
}
