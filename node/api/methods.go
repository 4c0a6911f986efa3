package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/creachadair/jrpc2"
)

// method handles one request; params are its parameters, "{}" if there were
// none.
type method func(c *conn, ctx context.Context, params []byte) (any, error)

// Assign implements [jrpc2.Assigner]. jrpc2 calls it for one request after the
// other in the order in which they came, which is what gives sends their turn.
func (c *conn) Assign(_ context.Context, name string) jrpc2.Handler {
	m, known := table[name]
	if known && !c.grant.allows(name) {
		return handler(func(context.Context, []byte) (any, error) { return nil, errScope })
	}
	if c.Daemon == nil && known && !whileLocked[name] {
		return handler(func(context.Context, []byte) (any, error) { return nil, errLocked })
	}
	if inUse[name] && c.grant.Has(ScopeAdmin) && !(c.grant.Page && byItself[name]) {
		c.used.Store(time.Now().UnixMilli())
	}
	if name == "send" {
		before, mine := c.lastSend, make(chan struct{})
		c.lastSend = mine
		return handler(func(ctx context.Context, params []byte) (any, error) {
			return c.send(ctx, params, before, mine)
		})
	}
	if !known {
		return handler(func(context.Context, []byte) (any, error) {
			return nil, Errorf(CodeUnknownMethod, "there is no such method")
		})
	}
	return handler(func(ctx context.Context, params []byte) (any, error) { return m.call(c, ctx, params) })
}

// handler adapts parameters and errors to jrpc2.
func handler(f func(context.Context, []byte) (any, error)) jrpc2.Handler {
	return func(ctx context.Context, req *jrpc2.Request) (any, error) {
		p := []byte(req.ParamString())
		if len(p) == 0 {
			p = []byte("{}")
		}
		v, err := f(ctx, p)
		if err != nil {
			return nil, rpcError(AsError(err))
		}
		return v, nil
	}
}

// rpcError puts an Error into JSON-RPC's: the code's number, the message, and
// the whole as data. signal-cli uses -1 for what the user did wrong.
func rpcError(e *Error) *jrpc2.Error {
	code := jrpc2.Code(-1)
	switch e.Code {
	case CodeUsage:
		code = jrpc2.InvalidParams
	case CodeUnknownMethod:
		code = jrpc2.MethodNotFound
	case CodeInternal:
		code = jrpc2.InternalError
	}
	return jrpc2.Errorf(code, "%s", e.Message).WithData(e)
}

// decode reads parameters by name; unknown ones are refused.
func decode(params []byte, into any) error {
	if !utf8.Valid(params) {
		return Errorf(CodeNotText, "the request is not UTF-8")
	}
	if len(params) > 0 && params[0] == '[' {
		return Errorf(CodeUsage, "parameters are given by name, in an object")
	}
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return e
		}
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(name) < 64 {
			return Errorf(CodeUsage, "there is no parameter %s", name)
		}
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
			return Errorf(CodeUsage, "the parameter %q can't be a %s", t.Field, t.Value)
		}
		return Errorf(CodeUsage, "the parameters can't be read")
	}
	return nil
}

// none is the parameters of a method that has none.
type none struct{}

type versionResult struct {
	Version string `json:"version"`
}

func (c *conn) version(_ context.Context, params []byte) (any, error) {
	return versionResult{c.Version}, decode(params, new(none))
}

func (c *conn) id(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	return c.Daemon.Self(ctx)
}

func (c *conn) status(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	if c.Daemon == nil {
		return Status{Locked: true, Reachability: "unknown", Version: c.Version}, nil
	}
	return c.Daemon.Status(ctx)
}

func (c *conn) check(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	return c.Daemon.Check(ctx)
}

type inviteParams struct {
	Uses          int      `json:"uses"`
	Expires       Duration `json:"expires"`
	NeedsApproval bool     `json:"needsApproval"`
	Note          string   `json:"note"`
}

func (c *conn) invite(ctx context.Context, params []byte) (any, error) {
	p := inviteParams{Uses: DefaultInviteUses, Expires: Duration(DefaultInviteExpires)}
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Uses < 1:
		return nil, Errorf(CodeUsage, "an invite is for at least one use")
	case p.Expires <= 0:
		return nil, Errorf(CodeUsage, "an invite expires in the future")
	case len(p.Note) > MaxNote:
		return nil, Errorf(CodeUsage, "the note is longer than %d bytes", MaxNote)
	}
	return c.Daemon.CreateInvite(ctx, InviteRequest{
		Uses: p.Uses, Expires: time.Duration(p.Expires), NeedsApproval: p.NeedsApproval, Note: p.Note,
	})
}

type verifyParams struct {
	Who    string `json:"who" rpc:"required"`
	Number string `json:"number"`
}

// digits takes the spaces out of a number.
func digits(s string) string { return strings.Join(strings.Fields(s), "") }

func (c *conn) verify(ctx context.Context, params []byte) (any, error) {
	var p verifyParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	p.Number = digits(p.Number)
	if strings.Trim(p.Number, "0123456789") != "" {
		return nil, Errorf(CodeUsage, "a safety number has only digits")
	}
	return c.Daemon.Verify(ctx, VerifyRequest(p))
}

type shutdownResult struct {
	Stopping bool `json:"stopping"`
}

func (c *conn) shutdown(_ context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	if c.Shutdown == nil {
		return nil, Errorf(CodeNotAllowed, "this daemon can't be stopped from here")
	}
	// The answer is written before connections close: it is in flight.
	c.Shutdown()
	return shutdownResult{true}, nil
}

// checkWho refuses what can't be a contact.
func checkWho(who string) error {
	if who == "" {
		return Errorf(CodeUsage, "say which contact").
			WithHint("a petname, an account id, or at least 8 characters of one")
	}
	if len(who) > MaxPetname {
		return Errorf(CodeUnknownContact, "no contact has such a long name")
	}
	return nil
}
