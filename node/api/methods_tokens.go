package api

import (
	"context"
	"slices"
)

// Rights gives out links to the page and tokens.
type Rights interface {
	// Base is the address at which tokens are good, such as
	// http://127.0.0.1:4711.
	Base() string
	// Link makes a link that opens the page once, within a minute.
	Link() string
	// Create makes a token, and the id by which it is revoked.
	Create(name string, g Grant) (token, id string, err error)
	// List lists what was given out.
	List() []Token
	// Revoke ends a token: CodeUnknownToken.
	Revoke(id string) error
}

// Token is a right that was given out, without the token itself.
type Token struct {
	ID           string       `json:"id"`
	Kind         string       `json:"kind"` // page, or token
	Name         string       `json:"name"`
	Scopes       List[string] `json:"scopes"`
	Conversation NullString   `json:"conversation"` // account id of the only one it is for; null is all
	Created      Time         `json:"created"`      // the day
	Used         Time         `json:"used"`         // the last day
}

// maxTokenName bounds the name of a token, in bytes of UTF-8.
const maxTokenName = 64

var errNoRights = Errorf(CodeNotAllowed, "this daemon serves no page, and so takes no tokens").WithHint("start it without --no-page")

type pageResult struct {
	URL string `json:"url"`
}

func (c *conn) page(_ context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	if c.Rights == nil {
		return nil, errNoRights
	}
	return pageResult{c.Rights.Link()}, nil
}

type createTokenParams struct {
	Name         string    `json:"name"`
	Scopes       OneOrMany `json:"scopes" rpc:"required"`
	Conversation string    `json:"conversation"`
}

type createTokenResult struct {
	Token string `json:"token"`
	ID    string `json:"id"`
	URL   string `json:"url"` // where it is good
}

func (c *conn) createToken(ctx context.Context, params []byte) (any, error) {
	var p createTokenParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if c.Rights == nil {
		return nil, errNoRights
	}
	if len(p.Name) > maxTokenName || checkPetname(p.Name) != nil {
		return nil, Errorf(CodeUsage, "the name of a token is at most %d bytes, and can be shown", maxTokenName)
	}
	g := Grant{Scopes: p.Scopes}
	if len(g.Scopes) == 0 {
		return nil, Errorf(CodeUsage, "say what the token is for").WithHint("scopes are read, send and admin")
	}
	for _, s := range g.Scopes {
		if !slices.Contains(Scopes, s) {
			return nil, Errorf(CodeUsage, "there is no such scope").WithHint("scopes are read, send and admin")
		}
	}
	if p.Conversation != "" {
		if g.Has(ScopeAdmin) {
			return nil, Errorf(CodeUsage, "a token for one conversation can't have the scope admin")
		}
		k, err := c.Daemon.Find(ctx, p.Conversation)
		if err != nil {
			return nil, err
		}
		g.Conversation = k.ID
	}
	token, id, err := c.Rights.Create(p.Name, g)
	return createTokenResult{token, id, c.Rights.Base()}, err
}

type listTokensResult struct {
	Tokens List[Token] `json:"tokens"`
}

func (c *conn) listTokens(_ context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	if c.Rights == nil {
		return nil, errNoRights
	}
	return listTokensResult{c.Rights.List()}, nil
}

type revokeTokenParams struct {
	ID string `json:"id" rpc:"required"`
}

type revokeTokenResult struct {
	Revoked bool `json:"revoked"`
}

func (c *conn) revokeToken(_ context.Context, params []byte) (any, error) {
	var p revokeTokenParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if c.Rights == nil {
		return nil, errNoRights
	}
	if p.ID == "" {
		return nil, Errorf(CodeUsage, "say which token")
	}
	return revokeTokenResult{true}, c.Rights.Revoke(p.ID)
}
