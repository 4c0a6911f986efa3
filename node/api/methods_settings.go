package api

import (
	"context"
	"slices"
	"time"
)

// What desktop notifications say. Whoever passes by can read them, and the
// desktop may keep them: so they say nothing unless asked to.
const (
	NotifyOff     = "off"
	NotifyPlain   = "plain"   // that there is a message
	NotifyContent = "content" // what it says
)

// minLockAfter is the shortest time after which a profile locks itself.
const minLockAfter = time.Second

// Choices are what somebody has chosen for this device.
type Choices struct {
	LockAfter Timer        `json:"lockAfter"` // locked when unused for so long
	Notify    string       `json:"notify"`
	Fixed     List[string] `json:"fixed"` // names of those that the command line decides
}

// ChoicesRequest changes what isn't nil.
type ChoicesRequest struct {
	LockAfter *Timer  `json:"lockAfter"`
	Notify    *string `json:"notify"`
}

var (
	errNotify    = Errorf(CodeUsage, "that is not a kind of notification").WithHint("it is plain, content or off")
	errLockAfter = Errorf(CodeBadDuration, "that is not a time after which to lock").WithHint("at least 1s, such as 15m; off is never")
	errFixed     = Errorf(CodeNotAllowed, "the command line decides that").WithHint("start the daemon without that flag")
)

// Check refuses what can't be.
func (s Choices) Check() error {
	if !slices.Contains([]string{NotifyOff, NotifyPlain, NotifyContent}, s.Notify) {
		return errNotify
	}
	if s.LockAfter != 0 && time.Duration(s.LockAfter) < minLockAfter {
		return errLockAfter
	}
	return nil
}

// On is s with what the request changes: CodeNotAllowed for what is fixed.
func (r ChoicesRequest) On(s Choices) (Choices, error) {
	next := s
	if r.LockAfter != nil {
		next.LockAfter = *r.LockAfter
	}
	if r.Notify != nil {
		next.Notify = *r.Notify
	}
	if next.LockAfter != s.LockAfter && slices.Contains(s.Fixed, "lockAfter") ||
		next.Notify != s.Notify && slices.Contains(s.Fixed, "notify") {
		return s, errFixed
	}
	return next, next.Check()
}

type settingsParams struct {
	Previews *bool `json:"previews"`
	ChoicesRequest
}

type settingsResult struct {
	Settings
	*Choices // nil where there is nothing to choose
}

func (c *conn) settings(ctx context.Context, params []byte) (any, error) {
	var p settingsParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	var out settingsResult
	if c.Choose != nil {
		now, err := c.Choose(p.ChoicesRequest)
		if err != nil {
			return nil, err
		}
		out.Choices = &now
	} else if p.ChoicesRequest != (ChoicesRequest{}) {
		return nil, Errorf(CodeNotAllowed, "there is nothing to choose for this device")
	}
	var err error
	out.Settings, err = c.Daemon.Settings(ctx, SettingsRequest{Previews: p.Previews})
	return out, err
}
