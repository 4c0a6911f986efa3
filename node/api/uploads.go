package api

import (
	"context"
	"errors"
	"io"
)

// Upload is a file that was taken in to be sent, and what will be made of it
// then unless the original is wanted.
type Upload struct {
	ID        string `json:"id"`     // what send takes as upload:ID
	Name      string `json:"name"`   // as it was called
	Size      int64  `json:"size"`   // as it came
	SentAs    string `json:"sentAs"` // what it is called then
	Type      string `json:"type"`   // what it is, by its content
	Sends     int64  `json:"sends"`  // bytes of it then
	Change    string `json:"change"` // none, cleaned, scaled, encoded or refused
	Why       string `json:"why,omitempty"`
	Thumbnail string `json:"thumbnail,omitempty"` // a small JPEG, in base64
}

// What is made of a file that is sent.
const (
	ChangeNone    = "none"    // nothing is known to be in it that tells of who made it
	ChangeCleaned = "cleaned" // that is taken out
	ChangeScaled  = "scaled"  // and a picture made smaller, unless the full size is wanted
	ChangeEncoded = "encoded" // a picture is written anew, in another format
	ChangeRefused = "refused" // it can only be sent as it is; Why says so
)

// Voice is what is shown of a recording before it is played.
type Voice struct {
	Duration int64  `json:"duration"` // ms
	Wave     []byte `json:"wave"`     // how loud it is, part by part, a byte each; in base64
}

// Limits of a [Voice].
const (
	maxVoice = 3_600_000 // ms
	maxBars  = 128
)

// checkVoice refuses what isn't of the only file of a message.
func checkVoice(v *Voice, files int) error {
	switch {
	case v == nil:
		return nil
	case files != 1:
		return Errorf(CodeUsage, "a recording is sent by itself")
	case v.Duration < 1 || v.Duration > maxVoice || len(v.Wave) < 1 || len(v.Wave) > maxBars:
		return Errorf(CodeUsage, "a recording lasts up to an hour, and is drawn with 1 to %d bars", maxBars)
	}
	return nil
}

// uploadIDSize is the length of the id of an upload.
const uploadIDSize = 32

func checkUploadID(id string) error {
	if len(id) != uploadIDSize || checkMessageID(id) != nil {
		return Errorf(CodeUsage, "that is not the id of an upload")
	}
	return nil
}

// Upload takes in a file for somebody who may send. A size that isn't known is
// negative.
func (s *Server) Upload(ctx context.Context, g Grant, name string, size int64, r io.Reader) (Upload, error) {
	d, err := s.daemonFor(g, "send")
	if err != nil {
		return Upload{}, err
	}
	return d.Upload(ctx, name, size, r)
}

// DropUpload forgets one.
func (s *Server) DropUpload(ctx context.Context, g Grant, id string) error {
	d, err := s.daemonFor(g, "send")
	if err != nil {
		return err
	}
	if err := checkUploadID(id); err != nil {
		return err
	}
	return d.DropUpload(ctx, id)
}

// dropUploads forgets what was sent.
func (c *conn) dropUploads(ctx context.Context, all []Attachment) {
	for _, a := range all {
		if a.Upload != "" {
			_ = c.Daemon.DropUpload(ctx, a.Upload) // it is forgotten later
		}
	}
}

// window is how much of a file is in memory while it is read out.
const window = 1 << 20

// Content is a file of a message that is here: CodeUnknownMessage, CodeNotHere.
// Reading it fails as soon as the message ends. Its methods may not be called
// from several goroutines at once.
type Content struct {
	File File

	d   Daemon
	ctx context.Context //nolint:containedctx // of the one who reads it
	id  string
	nth int
	at  int64
	buf []byte // what is at at
}

// Content opens a file of a message for somebody who may read it.
func (s *Server) Content(ctx context.Context, g Grant, file string) (*Content, error) {
	d, err := s.daemonFor(g, "getAttachment")
	if err != nil {
		return nil, err
	}
	id, nth, err := ParseFileID(file)
	if err != nil {
		return nil, err
	}
	m, err := d.Message(ctx, id)
	if err != nil {
		return nil, err
	}
	if nth >= len(m.Files) {
		return nil, Errorf(CodeUnknownMessage, "there is no such file")
	}
	c := &Content{File: m.Files[nth], d: d, ctx: ctx, id: id, nth: nth}
	if c.File.State != TransferDone {
		return nil, Errorf(CodeNotHere, "the file is not here yet")
	}
	return c, nil
}

// Read implements [io.Reader].
func (c *Content) Read(b []byte) (int, error) {
	if len(c.buf) == 0 {
		if c.at >= c.File.Size {
			return 0, io.EOF
		}
		var err error
		c.buf, err = c.d.Attachment(c.ctx, c.id, c.nth, c.at, int(min(window, c.File.Size-c.at)))
		if err != nil {
			return 0, err
		}
		if len(c.buf) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(b, c.buf)
	c.buf, c.at = c.buf[n:], c.at+int64(n)
	return n, nil
}

// Seek implements [io.Seeker].
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.File.Size
	}
	if offset < 0 {
		return 0, errors.New("api: before the beginning of a file")
	}
	if offset != c.at {
		c.at, c.buf = offset, nil
	}
	return offset, nil
}
