// Package preview makes previews of links: a title, a few words and a picture.
//
// Whoever sends a link makes its preview and sees it before it goes; who
// receives it contacts nobody. A page is a stranger's: it is asked for over
// https and at public addresses only, whatever it redirects to and however its
// name resolves, with nothing that tells who asks (no cookie, no referrer, no
// language), within limits of time and size, and what it says is cut to plain
// text and one small picture that is encoded anew.
package preview

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"

	"rushlight/node/media"
)

// Limits.
const (
	Timeout      = 8 * time.Second // for page and picture together
	MaxRedirects = 3
	MaxPage      = 512 << 10 // bytes of a page that are read
	MaxFetched   = 2 << 20   // bytes of a picture that are read
	MaxImage     = 12 << 10  // bytes of a preview's picture: a message with it stays small
	MaxURL       = 2048
)

var (
	// ErrLink: not a link that is ever fetched.
	ErrLink = errors.New("preview: only https links to public addresses have previews")
	// ErrNothing: the page has no title, or isn't a page.
	ErrNothing = errors.New("preview: there is nothing to show of this link")
)

// Preview is what is shown of a link.
type Preview struct {
	URL         string // as it was asked for
	Title       string // at most MaxTitle characters, one line
	Description string // at most MaxDescription characters, one line; may be empty
	Image       []byte // JPEG, at most MaxImage bytes; nil for none
}

// Options are for tests: the zero value is for people.
type Options struct {
	// UnsafeAllow lets addresses through that are refused otherwise.
	UnsafeAllow []netip.Prefix
	// UnsafePorts lets ports through other than 443.
	UnsafePorts []uint16
	// Roots are the certificate authorities; nil means those of the system.
	Roots *x509.CertPool
	// Resolver answers for names; nil means the system.
	Resolver *net.Resolver
	// Limit stands in for [Timeout] unless it is zero.
	Limit time.Duration
}

// A Fetcher makes previews. It keeps nothing between them.
type Fetcher struct {
	client *http.Client
	limit  time.Duration
}

// New returns a fetcher.
func New(o Options) *Fetcher {
	limit := Timeout
	if o.Limit > 0 {
		limit = o.Limit
	}
	var v4, v6 []netip.Prefix
	for _, p := range o.UnsafeAllow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(
		ssrf.WithPorts(append([]uint16{443}, o.UnsafePorts...)...),
		ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...),
	)
	// Control sees the address that is about to be called, after every
	// redirect and however often a name is resolved.
	dialer := &net.Dialer{Timeout: limit, Control: guard.Safe, Resolver: o.Resolver}
	transport := &http.Transport{
		Proxy:                  nil, // never from the environment
		DialContext:            dialer.DialContext,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout:    limit,
		ForceAttemptHTTP2:      true,
	}
	if o.Roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}
	}
	return &Fetcher{&http.Client{Transport: transport, CheckRedirect: redirect}, limit}
}

func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return fmt.Errorf("%w: it redirects too often", ErrNothing)
	}
	r.Header.Del("Referer")
	_, err := link(r.URL.String())
	return err
}

// link accepts absolute https links without a name and password in them.
func link(s string) (*url.URL, error) {
	if len(s) > MaxURL {
		return nil, ErrLink
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, ErrLink
	}
	return u, nil
}

// Fetch makes a preview. Errors are [ErrLink], [ErrNothing] and those of the
// network.
func (f *Fetcher) Fetch(ctx context.Context, address string) (*Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	u, err := link(address)
	if err != nil {
		return nil, err
	}
	b, kind, at, err := f.get(ctx, u, "text/html,application/xhtml+xml", MaxPage)
	if err != nil {
		return nil, err
	}
	if kind != "text/html" && kind != "application/xhtml+xml" {
		return nil, ErrNothing
	}
	page := read(b)
	if page.title == "" {
		return nil, ErrNothing
	}
	p := &Preview{URL: address, Title: page.title, Description: page.description}
	if page.image != "" {
		// Without a picture it is a preview too.
		if img, err := at.Parse(page.image); err == nil {
			p.Image, _ = f.image(ctx, img.String())
		}
	}
	return p, nil
}

// get returns up to most bytes of what is at u, what type it says it is, and
// where it was found.
func (f *Fetcher) get(ctx context.Context, u *url.URL, accept string, most int64) (b []byte, kind string, at *url.URL, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", nil, ErrLink
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "Mozilla/5.0")
	res, err := f.client.Do(r)
	if err != nil {
		if ssrfRefused(err) {
			err = ErrLink
		}
		return nil, "", nil, fmt.Errorf("preview: asking for a page: %w", quiet(err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, "", nil, fmt.Errorf("%w: the answer was %d", ErrNothing, res.StatusCode)
	}
	b, err = io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil && len(b) == 0 {
		return nil, "", nil, fmt.Errorf("preview: reading a page: %w", quiet(err))
	}
	kind, _, err = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return nil, "", nil, ErrNothing
	}
	return b, kind, res.Request.URL, nil
}

// ssrfRefused tells whether an address was refused before it was called.
func ssrfRefused(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrProhibitedNetwork)
}

// quiet takes the address out of an error of the client's.
func quiet(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// image fetches a picture and makes it small.
func (f *Fetcher) image(ctx context.Context, address string) ([]byte, error) {
	u, err := link(address)
	if err != nil {
		return nil, err
	}
	b, kind, _, err := f.get(ctx, u, "image/jpeg,image/png,image/webp,image/gif", MaxFetched)
	if err != nil || !strings.HasPrefix(kind, "image/") {
		return nil, errors.Join(err, ErrNothing)
	}
	p, err := media.Decode(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return p.Small(MaxImage)
}
