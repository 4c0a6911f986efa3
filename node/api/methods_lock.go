package api

import (
	"context"
	"time"
)

// whileLocked are the methods that a locked profile answers.
var whileLocked = map[string]bool{"version": true, "status": true, "unlock": true, "wipe": true, "shutdown": true}

// inUse are the methods that somebody who uses the profile calls. What programs
// do with their tokens doesn't count.
var inUse = map[string]bool{
	"active": true, "send": true, "read": true, "markRead": true, "search": true, "react": true, "edit": true, "unsend": true,
	"delete": true, "conversation": true, "timer": true, "draft": true, "sendTyping": true, "invite": true, "add": true,
	"rename": true, "remove": true, "approve": true, "decline": true, "block": true, "unblock": true, "verify": true,
}

// byItself are those of them that a page calls by itself. It calls active when
// somebody is there.
var byItself = map[string]bool{"read": true, "markRead": true}

// LastUse is when somebody last used the profile; zero is never.
func (s *Server) LastUse() time.Time {
	if ms := s.used.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

func (c *conn) active(_ context.Context, params []byte) (any, error) {
	return none{}, decode(params, new(none))
}

var errLocked = Errorf(CodeLocked, "the profile is locked").WithHint("unlock it with: rushlight unlock")

type lockResult struct {
	Locking bool `json:"locking"`
}

func (c *conn) lock(_ context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	if c.Lock == nil {
		return nil, Errorf(CodeNotAllowed, "this daemon can't be locked from here")
	}
	c.Lock()
	return lockResult{true}, nil
}

type unlockParams struct {
	Passphrase string `json:"passphrase"`
}

type unlockResult struct {
	Unlocking bool `json:"unlocking"`
}

func (c *conn) unlock(ctx context.Context, params []byte) (any, error) {
	var p unlockParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if c.Daemon != nil || c.Unlock == nil {
		return nil, Errorf(CodeUsage, "the profile isn't locked")
	}
	if err := c.Unlock(ctx, []byte(p.Passphrase)); err != nil {
		return nil, err
	}
	return unlockResult{true}, nil
}

type wipeParams struct {
	Yes bool `json:"yes" rpc:"required"`
}

type wipeResult struct {
	Wiped bool `json:"wiped"`
}

func (c *conn) wipe(_ context.Context, params []byte) (any, error) {
	var p wipeParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if !p.Yes {
		return nil, Errorf(CodeUsage, "wiping destroys everything and can't be undone").WithHint("say yes: rushlight wipe --yes")
	}
	if c.Wipe == nil {
		return nil, Errorf(CodeNotAllowed, "this daemon can't be wiped from here")
	}
	if err := c.Wipe(); err != nil {
		return nil, err
	}
	return wipeResult{true}, nil
}
