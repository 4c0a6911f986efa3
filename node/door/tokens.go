package door

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"rushlight/node/api"
	"rushlight/protocol/suite"
)

const (
	labelToken suite.Label = "rushlight/door/token/1"
	labelCode  suite.Label = "rushlight/door/code/1"
)

// Limits of [Tokens].
const (
	codeLife  = time.Minute
	maxCodes  = 16
	maxPages  = 32                  // tokens of pages; the one unused for longest makes room
	pageLife  = 30 * 24 * time.Hour // unused for so long, a page has to be opened anew
	maxTokens = 128                 // tokens that people made
)

// Kinds of tokens.
const (
	KindPage  = "page"  // of a page that a one-time link opened
	KindToken = "token" // made by a person
)

// ErrCode is returned by [Tokens.Exchange].
var ErrCode = errors.New("door: the code is wrong, used or too old")

var (
	errUnknown = api.Errorf(api.CodeUnknownToken, "there is no such token").WithHint("'rushlight token list' lists them")
	errFull    = api.Errorf(api.CodeBusy, "there are too many tokens").WithHint("revoke some")
)

// Tokens are the rights that were given out, and the codes of links that open
// the page. On disk there are hashes, and what a token is for, sealed. Its
// methods may be called from many goroutines.
type Tokens struct {
	path string
	key  *[32]byte // nil while the profile is locked

	mu    sync.Mutex
	file  file
	codes map[[32]byte]time.Time   // hashes of codes, and until when they are good
	ended map[string]chan struct{} // by id; closed when the token is revoked
	now   func() time.Time
}

// file is what stands on the disk.
type file struct {
	Version int     `json:"version"`
	Port    uint16  `json:"port"`
	Tokens  []entry `json:"tokens"`
}

type entry struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Hash    []byte `json:"hash"`
	Created int64  `json:"created"` // Unix day
	Used    int64  `json:"used"`    // Unix day
	Sealed  []byte `json:"sealed"`

	what sealed
}

// sealed is what only an unlocked profile tells about a token.
type sealed struct {
	Name         string   `json:"name"`
	Scopes       []string `json:"scopes"`
	Conversation string   `json:"conversation"`
}

// Session is a token in use.
type Session struct {
	ID      string
	Grant   api.Grant
	Revoked <-chan struct{}
}

// until ends with ctx or when the token is revoked.
func (s *Session) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.Revoked:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// OpenTokens reads the file at path, which needn't be there. key is nil while
// the profile is locked: only tokens of pages are good then, and none is made.
// Tokens that another key sealed are forgotten.
func OpenTokens(path string, key *[32]byte) (*Tokens, error) {
	return openTokens(path, key, time.Now)
}

func openTokens(path string, key *[32]byte, now func() time.Time) (*Tokens, error) {
	t := &Tokens{path: path, key: key, codes: map[[32]byte]time.Time{}, ended: map[string]chan struct{}{}, now: now}
	if err := readFile(path, &t.file); err != nil {
		return nil, err
	}
	today := unixDay(t.now())
	t.file.Tokens = slices.DeleteFunc(t.file.Tokens, func(e entry) bool {
		return e.Kind == KindPage && e.Used+int64(pageLife/(24*time.Hour)) < today
	})
	kept := t.file.Tokens[:0]
	for _, e := range t.file.Tokens {
		if key != nil {
			b, err := suite.OpenBox(nil, key[:], e.ad(), e.Sealed)
			if err != nil || json.Unmarshal(b, &e.what) != nil {
				continue
			}
		} else if e.Kind == KindPage {
			e.what.Scopes = api.Owner.Scopes
		} else {
			e.what.Scopes = nil
		}
		kept = append(kept, e)
		t.ended[e.ID] = make(chan struct{})
	}
	t.file.Tokens = kept
	return t, nil
}

// ad binds what is sealed to its place.
func (e *entry) ad() []byte { return append([]byte(e.ID+"\x00"+e.Kind+"\x00"), e.Hash...) }

func unixDay(t time.Time) int64 { return t.Unix() / 86400 }

// random is n bytes in URL-safe base64. It never begins like an option of a
// command line.
func random(n int) string {
	for {
		b := make([]byte, n)
		suite.Random(b)
		if s := base64.RawURLEncoding.EncodeToString(b); s[0] != '-' {
			return s
		}
	}
}

// NewCode makes a code that opens the page once, within a minute.
func (t *Tokens) NewCode() string {
	code := random(16)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	oldest, at := [32]byte{}, time.Time{}
	for h, until := range t.codes {
		if now.After(until) {
			delete(t.codes, h)
		} else if at.IsZero() || until.Before(at) {
			oldest, at = h, until
		}
	}
	if len(t.codes) >= maxCodes {
		delete(t.codes, oldest)
	}
	t.codes[suite.Hash(labelCode, []byte(code))] = now.Add(codeLife)
	return code
}

// Exchange takes a code, which is of no use then, and gives a token that may
// do everything: ErrCode.
func (t *Tokens) Exchange(code string) (token string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := suite.Hash(labelCode, []byte(code))
	until, ok := t.codes[h]
	delete(t.codes, h)
	if !ok || t.now().After(until) {
		return "", ErrCode
	}
	if t.key == nil {
		return "", ErrCode // none was given out while locked
	}
	before := slices.Clone(t.file.Tokens)
	if n := t.count(KindPage); n >= maxPages {
		i := -1
		for j, e := range t.file.Tokens {
			if e.Kind == KindPage && (i < 0 || e.Used < t.file.Tokens[i].Used) {
				i = j
			}
		}
		t.drop(i)
	}
	token, _, err = t.add(KindPage, sealed{Scopes: api.Owner.Scopes}, before)
	return token, err
}

func (t *Tokens) count(kind string) (n int) {
	for _, e := range t.file.Tokens {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// drop takes a token out and ends what it does. t.mu is held.
func (t *Tokens) drop(i int) {
	id := t.file.Tokens[i].ID
	close(t.ended[id])
	delete(t.ended, id)
	t.file.Tokens = slices.Delete(slices.Clone(t.file.Tokens), i, i+1)
}

// add makes a token and saves it; if that fails, before is what there is.
// t.mu is held.
func (t *Tokens) add(kind string, what sealed, before []entry) (token, id string, err error) {
	token = random(32)
	h := suite.Hash(labelToken, []byte(token))
	day := unixDay(t.now())
	e := entry{ID: random(6), Kind: kind, Hash: h[:], Created: day, Used: day, what: what}
	b, err := json.Marshal(what)
	if err != nil {
		return "", "", err
	}
	e.Sealed = suite.SealBox(nil, t.key[:], e.ad(), b)
	t.file.Tokens = append(t.file.Tokens, e)
	if err := t.save(); err != nil {
		t.file.Tokens = before
		return "", "", err
	}
	t.ended[e.ID] = make(chan struct{})
	return token, e.ID, nil
}

// Session finds a token that is good; nil if there is none.
func (t *Tokens) Session(token string) *Session {
	h := suite.Hash(labelToken, []byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.file.Tokens {
		e := &t.file.Tokens[i]
		if !suite.Equal(e.Hash, h[:]) {
			continue
		}
		if day := unixDay(t.now()); day > e.Used {
			e.Used = day
			_ = t.save() // it is tried again tomorrow
		}
		return &Session{
			ID: e.ID, Revoked: t.ended[e.ID],
			Grant: api.Grant{Scopes: e.what.Scopes, Conversation: e.what.Conversation, Page: e.Kind == KindPage},
		}
	}
	return nil
}

// Create makes a token for a program: CodeBusy.
func (t *Tokens) Create(name string, g api.Grant) (token, id string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count(KindToken) >= maxTokens {
		return "", "", errFull
	}
	return t.add(KindToken, sealed{Name: name, Scopes: g.Scopes, Conversation: g.Conversation}, t.file.Tokens)
}

// List returns all tokens, without themselves.
func (t *Tokens) List() []api.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]api.Token, len(t.file.Tokens))
	for i, e := range t.file.Tokens {
		out[i] = api.Token{
			ID: e.ID, Kind: e.Kind, Name: e.what.Name, Scopes: e.what.Scopes, Conversation: api.NullString(e.what.Conversation),
			Created: api.TimeOf(time.Unix(e.Created*86400, 0)), Used: api.TimeOf(time.Unix(e.Used*86400, 0)),
		}
	}
	return out
}

// Revoke ends a token and what is done with it: CodeUnknownToken.
func (t *Tokens) Revoke(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.file.Tokens, func(e entry) bool { return e.ID == id })
	if i < 0 {
		return errUnknown
	}
	t.drop(i)
	return t.save()
}

// Port is the one that was chosen before, 0 if none was.
func (t *Tokens) Port() uint16 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file.Port
}

// SetPort keeps the port. Pages of another one are of no use any more: whoever
// listens there now could read what they left in the browser.
func (t *Tokens) SetPort(port uint16) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if port == t.file.Port {
		return nil
	}
	for i := len(t.file.Tokens) - 1; t.file.Port != 0 && i >= 0; i-- {
		if t.file.Tokens[i].Kind == KindPage {
			t.drop(i)
		}
	}
	t.file.Port = port
	return t.save()
}
