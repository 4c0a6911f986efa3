package api

import (
	"context"
	"encoding/base64"
)

// Preview is what the sender of a message says of a link in its text. Whoever
// receives it contacts nobody.
type Preview struct {
	URL         string `json:"url"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Host        string `json:"host"`            // of the link itself, in ASCII
	Image       string `json:"image,omitempty"` // a small JPEG, in base64
}

// PreviewRequest is a preview to be sent with a text, in which its link stands.
// An empty link is no preview.
type PreviewRequest struct {
	URL         string
	Title       string
	Description string
	Image       []byte // any picture; what is sent is a small JPEG of it
}

// LookRequest asks for the preview of a link, or of the first one in a text.
type LookRequest struct {
	URL  string
	Text string
}

// Settings are what the person wants of the whole profile.
type Settings struct {
	Previews bool `json:"previews"` // links may be looked up for previews
}

// SettingsRequest changes what isn't nil.
type SettingsRequest struct{ Previews *bool }

// Limits of parameters; what is sent has smaller ones.
const (
	maxLink         = 2048
	maxPreviewText  = 4096    // of a title or a description
	maxPreviewImage = 2 << 20 // of a picture that is to be made small
)

type previewParams struct {
	URL         string `json:"url" rpc:"required"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Host        string `json:"host"`  // not used
	Image       string `json:"image"` // base64
}

func (p *previewParams) request() (*PreviewRequest, error) {
	if p == nil {
		return nil, nil
	}
	if len(p.URL) > maxLink || len(p.Title) > maxPreviewText || len(p.Description) > maxPreviewText ||
		len(p.Image) > base64.StdEncoding.EncodedLen(maxPreviewImage) {
		return nil, Errorf(CodeUsage, "the preview is too large")
	}
	img, err := base64.StdEncoding.DecodeString(p.Image)
	if err != nil {
		return nil, Errorf(CodeUsage, "the picture of a preview is base64")
	}
	return &PreviewRequest{URL: p.URL, Title: p.Title, Description: p.Description, Image: img}, nil
}

// preview is what send was given, in our own words or signal-cli's.
func (p *sendParams) preview() (*PreviewRequest, error) {
	if p.Preview != nil || p.PreviewURL == "" {
		return p.Preview.request()
	}
	own := previewParams{URL: p.PreviewURL, Title: p.PreviewTitle, Description: p.PreviewDescription}
	out, err := own.request()
	if err != nil || p.PreviewImage == "" {
		return out, err
	}
	img, err := attachment(p.PreviewImage, false, false)
	if err == nil && img.Path != "" {
		err = Errorf(CodeUsage, "the picture of a preview is given by its content").WithHint("data:image/jpeg;base64,DATA")
	}
	if len(img.Data) > maxPreviewImage {
		err = Errorf(CodeUsage, "the preview is too large")
	}
	out.Image = img.Data
	return out, err
}

type lookParams struct {
	URL  string `json:"url"`
	Text string `json:"text"` // without url: the first link in it
}

func (c *conn) preview(ctx context.Context, params []byte) (any, error) {
	var p lookParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if p.URL == "" && p.Text == "" {
		return nil, Errorf(CodeUsage, "say which link: url, or a text with one")
	}
	if len(p.URL) > maxLink || len(p.Text) > MaxText {
		return nil, Errorf(CodeUsage, "the link is too long")
	}
	return c.Daemon.Look(ctx, LookRequest(p))
}
