package api

import (
	"context"
	"encoding/json"
	"time"
)

// Bounds of timers.
const (
	MinExpiry = 5 * time.Second
	MaxExpiry = 366 * 24 * time.Hour
	MinBurn   = time.Second
	MaxBurn   = 7 * 24 * time.Hour
)

// Timer is how long a message lives, 0 for ever; in JSON it is a string such as
// "30s" or "off". A number is read as seconds. No time at all isn't for ever: it
// is refused, except as the number 0.
type Timer time.Duration

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Timer) UnmarshalJSON(b []byte) error {
	if string(b) == `"off"` {
		*t = 0
		return nil
	}
	var d Duration
	if err := d.UnmarshalJSON(b); err != nil || d == 0 && b[0] == '"' {
		return errBadTimer
	}
	*t = Timer(d)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (t Timer) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte(`"off"`), nil
	}
	return json.Marshal(Duration(t))
}

// ParseTimer reads what [ParseDuration] reads, and "off". Errors are
// CodeBadDuration.
func ParseTimer(s string) (Timer, error) {
	if s == "off" {
		return 0, nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return 0, errBadTimer
	}
	return Timer(d), nil
}

var (
	errBadTimer = Errorf(CodeBadDuration, "that is not a duration").WithHint("write it like 30s, 5m, 12h, 7d or 2w, or off; expiry is 5s to 366d, burn on read 1s to 7d")
	errExpiry   = Errorf(CodeBadDuration, "a message expires after 5s to 366d, in whole seconds").WithHint("write it like 30s, 5m, 12h, 7d or 2w; off is for ever")
	errMute     = Errorf(CodeBadDuration, "a conversation is muted for at most 366d").WithHint("write it like 30m, 8h or 7d; off is not at all")
	errBurn     = Errorf(CodeBadDuration, "burn on read is 1s to 7d, in whole seconds").WithHint("write it like 30s, 5m, 12h or 7d; off is not at all")
)

// CheckExpiry and CheckBurn refuse what is out of range.
func CheckExpiry(t Timer) error {
	d := time.Duration(t)
	if d != 0 && (d < MinExpiry || d > MaxExpiry || d%time.Second != 0) {
		return errExpiry
	}
	return nil
}

// CheckBurn is [CheckExpiry] for burn on read.
func CheckBurn(t Timer) error {
	d := time.Duration(t)
	if d != 0 && (d < MinBurn || d > MaxBurn || d%time.Second != 0) {
		return errBurn
	}
	return nil
}

// CheckMute is [CheckExpiry] for how long a conversation is muted.
func CheckMute(t Timer) error {
	if t < 0 || time.Duration(t) > MaxMute {
		return errMute
	}
	return nil
}

func checkTimers(expires, burn *Timer) error {
	if expires != nil {
		if err := CheckExpiry(*expires); err != nil {
			return err
		}
	}
	if burn != nil {
		return CheckBurn(*burn)
	}
	return nil
}

type deleteMessageResult struct {
	Deleted bool `json:"deleted"`
}

func (c *conn) deleteMessage(ctx context.Context, params []byte) (any, error) {
	id, err := messageID(params)
	if err != nil {
		return nil, err
	}
	return deleteMessageResult{true}, c.Daemon.Delete(ctx, id)
}

type messageIDParams struct {
	ID string `json:"id" rpc:"required"`
}

// messageID reads the parameters of a method about one message.
func messageID(params []byte) (string, error) {
	var p messageIDParams
	if err := decode(params, &p); err != nil {
		return "", err
	}
	return p.ID, checkMessageID(p.ID)
}

type confirmClockResult struct {
	Confirmed bool `json:"confirmed"`
}

func (c *conn) confirmClock(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	return confirmClockResult{true}, c.Daemon.ConfirmClock(ctx)
}
