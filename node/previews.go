package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/url"

	"golang.org/x/net/idna"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/media"
	"rushlight/node/preview"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// maxLooking is how many links are looked up at once.
const maxLooking = 2

// looker looks links up. It is the only part of a node that asks for pages, and
// does so for nobody but who sends.
type looker struct {
	fetcher *preview.Fetcher
	turn    chan struct{}
}

func newLooker(o preview.Options) *looker {
	return &looker{preview.New(o), make(chan struct{}, maxLooking)}
}

// Look implements api.Daemon.
func (n *Node) Look(ctx context.Context, r api.LookRequest) (api.Preview, error) {
	link := r.URL
	if link == "" {
		if link = preview.FirstLink(r.Text); link == "" {
			return api.Preview{}, api.Errorf(api.CodeNoPreview, "there is no https link in the text")
		}
	}
	if n.cfg.Profile == host.Hidden {
		return api.Preview{}, api.Errorf(api.CodeNotAllowed, "a hidden profile looks no link up: that would tell where it is")
	}
	s, err := n.engine.Settings()
	if err != nil {
		return api.Preview{}, apiError(err)
	}
	if s.NoPreviews {
		return api.Preview{}, api.Errorf(api.CodeNotAllowed, "previews of links are off").WithHint("on: rushlight settings --previews on")
	}
	select {
	case n.looker.turn <- struct{}{}:
		defer func() { <-n.looker.turn }()
	case <-ctx.Done():
		return api.Preview{}, ctx.Err()
	}
	p, err := n.looker.fetcher.Fetch(ctx, link)
	switch {
	case errors.Is(err, preview.ErrLink):
		return api.Preview{}, api.Errorf(api.CodeNoPreview, "only https links to public addresses have previews")
	case errors.Is(err, preview.ErrNothing):
		return api.Preview{}, api.Errorf(api.CodeNoPreview, "there is nothing to show of this link")
	case ctx.Err() != nil:
		return api.Preview{}, ctx.Err()
	case err != nil:
		return api.Preview{}, api.Errorf(api.CodeNoPreview, "the page can't be reached, or takes too long")
	}
	return api.Preview{
		URL: p.URL, Title: p.Title, Description: p.Description, Host: hostOf(p.URL), Image: base64.StdEncoding.EncodeToString(p.Image),
	}, nil
}

// Settings implements api.Daemon.
func (n *Node) Settings(ctx context.Context, r api.SettingsRequest) (api.Settings, error) {
	s, err := n.engine.Settings()
	if err == nil && r.Previews != nil {
		s, err = n.engine.SetSettings(ctx, func(s *record.Settings) { s.NoPreviews = !*r.Previews })
	}
	return api.Settings{Previews: !s.NoPreviews}, apiError(err)
}

// shown makes of what a request says of a link what is sent with a text: plain
// lines, and a picture that is encoded anew.
func shown(text string, r *api.PreviewRequest) (*message.Preview, error) {
	if r == nil || r.URL == "" {
		return nil, nil
	}
	p := message.PreviewOf(text, r.URL)
	if p == nil {
		return nil, api.Errorf(api.CodeUsage, "a preview is of a link that stands in the text")
	}
	p.Title, p.Description = preview.Line(r.Title, preview.MaxTitle), preview.Line(r.Description, preview.MaxDescription)
	if len(r.Image) > 0 {
		pic, err := media.Decode(bytes.NewReader(r.Image), int64(len(r.Image)))
		if err != nil {
			return nil, api.Errorf(api.CodeUsage, "the picture of the preview is none")
		}
		if p.Image, err = pic.Small(message.MaxPreviewImage); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// stays is the preview of a message whose text becomes another one: what it was,
// as long as its link is there.
func stays(v *engine.View, text string) *message.Preview {
	if v.Preview == nil {
		return nil
	}
	p := message.PreviewOf(text, v.Preview.Link(v.Text))
	if p != nil {
		p.Title, p.Description, p.Image, p.Rest = v.Preview.Title, v.Preview.Description, v.Preview.Image, v.Preview.Rest
	}
	return p
}

// previewJSON is the preview of a message, nil when it has none or its link has
// no host that could be shown.
func previewJSON(v *engine.View) *api.Preview {
	if v.Preview == nil {
		return nil
	}
	link := v.Preview.Link(v.Text)
	at := hostOf(link)
	if at == "" {
		return nil
	}
	return &api.Preview{
		URL: link, Title: v.Preview.Title, Description: v.Preview.Description, Host: at, Image: base64.StdEncoding.EncodeToString(v.Preview.Image),
	}
}

// hostOf is the host of a link in ASCII, so that letters which look alike don't
// hide it; empty when there is none, or a name and a password stand before it.
func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Hostname() == "" {
		return ""
	}
	at, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil {
		return ""
	}
	return at
}
