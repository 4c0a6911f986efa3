package door

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"rushlight/node/api"
)

// Files go in and out as bytes, of any length, through a little memory. What
// comes out was made by others: no browser is told a type by which it could
// show or run it, and were it opened nonetheless, it would be in a place of its
// own without any rights.

// contentPolicy is that of such a place.
const contentPolicy = "default-src 'none'; sandbox; frame-ancestors 'none'"

// uploadType can't be sent by a form, nor by another page without being asked.
const uploadType = "application/octet-stream"

// maxUploadName bounds the parameter; a name is shorter.
const maxUploadName = 1024

var errUploadType = api.Errorf(api.CodeUsage, "the request is not a file").WithHint("Content-Type: " + uploadType)

// upload takes in a file, whose name is a parameter of the address.
func (d *Door) upload(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != uploadType {
		refuse(w, http.StatusUnsupportedMediaType, errUploadType)
		return
	}
	name := r.URL.Query().Get("name")
	if len(name) > maxUploadName {
		refuse(w, http.StatusBadRequest, api.Errorf(api.CodeUsage, "the name is too long"))
		return
	}
	ctx, cancel := s.until(r.Context())
	defer cancel()
	in := &patient{ctx, r.Body, http.NewResponseController(w)}
	u, err := d.Server.Upload(ctx, s.Grant, name, r.ContentLength, in)
	if err != nil {
		// Whoever still sends learns of it by the connection's end.
		w.Header().Set("Connection", "close")
		refuse(w, statusOf(api.AsError(err)), api.AsError(err))
		return
	}
	_ = in.c.SetReadDeadline(time.Time{})
	answer(w, http.StatusOK, u)
}

// patient is a body that may take as long as it likes, as long as something
// comes.
type patient struct {
	ctx  context.Context //nolint:containedctx // of the request, and while its token is good
	body io.Reader
	c    *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if err := p.c.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// dropUpload forgets a file that was taken in.
func (d *Door) dropUpload(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	if err := d.Server.DropUpload(r.Context(), s.Grant, r.PathValue("id")); err != nil {
		refuse(w, statusOf(api.AsError(err)), api.AsError(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// download gives out a file of a message, or the part of it that is asked for.
func (d *Door) download(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	ctx, cancel := s.until(r.Context())
	defer cancel()
	c, err := d.Server.Content(ctx, s.Grant, r.PathValue("id"))
	if err != nil {
		refuse(w, statusOf(api.AsError(err)), api.AsError(err))
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Content-Type", uploadType)
	h.Set("Content-Disposition", "attachment")
	h.Set("Cache-Control", "no-store")
	http.ServeContent(&hurried{w, http.NewResponseController(w)}, r, "", time.Time{}, c) // what is cut off is shorter than was said
}

// hurried gives up a client that takes nothing for long.
type hurried struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (h *hurried) Write(b []byte) (int, error) {
	if err := h.c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return h.ResponseWriter.Write(b)
}
