package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Attachment is a file to be sent: one of this machine, or its content.
type Attachment struct {
	Path     string // absolute
	Name     string // with Data: what it is called
	Data     []byte
	Upload   string // id of one that was taken in
	Original bool   // send it as it is, with what it tells of who made it
	Full     bool   // don't make a picture smaller

	Thumbnail []byte // a small JPEG to show where the daemon can make none; nil: none
}

// SaveRequest puts files of a message where a person wants them.
type SaveRequest struct {
	ID   string
	File int    // which of them; negative: all
	Path string // absolute: a folder, or with one file also a name that isn't taken
}

// Saved is a file that was saved.
type Saved struct {
	File int    `json:"file"` // which of the message, from 0
	Path string `json:"path"`
	Type string `json:"type"` // what it really is
	Size int64  `json:"size"`
}

// Transfer is a file on its way.
type Transfer struct {
	ID           string  `json:"id"`   // of the message
	File         int     `json:"file"` // which of its files, from 0
	Conversation string  `json:"conversation"`
	Direction    string  `json:"direction"` // in, out
	Name         string  `json:"name"`
	Size         int64   `json:"size"`
	Have         int64   `json:"have"` // bytes that are here, or were sent
	Rate         int64   `json:"rate"` // bytes a second
	Left         float64 `json:"left"` // seconds; 0: not known
	State        string  `json:"state"`
}

// Directions and states of transfers.
const (
	TransferIn  = "in"
	TransferOut = "out"

	TransferPreparing = "preparing" // it is encrypted to be sent, and no message has it yet: id and conversation are empty
	TransferWaiting   = "waiting"   // for somebody who has it, room, or its turn
	TransferRunning   = "running"   //
	TransferDone      = "done"      //
	TransferLeft      = "left"      // too large to be fetched unasked
	TransferCancelled = "cancelled" // until somebody asks for it
	TransferFailed    = "failed"    // it is not what the message says
)

// Limits of attachments in requests.
const (
	MaxFiles    = 16
	maxPath     = 4096
	maxInAnswer = 24 << 20 // bytes of a file in one answer

	maxThumbnail = 64 << 10 // bytes; it is made smaller
)

// attachment reads one as signal-cli takes it: a path, or
// data:TYPE;filename=NAME;base64,DATA; or upload:ID.
func attachment(s string, original, full bool) (Attachment, error) {
	if id, ok := strings.CutPrefix(s, "upload:"); ok {
		return Attachment{Upload: id, Original: original, Full: full}, checkUploadID(id)
	}
	rest, ok := strings.CutPrefix(s, "data:")
	if !ok {
		if s == "" || len(s) > maxPath {
			return Attachment{}, Errorf(CodeUsage, "an attachment is the path of a file")
		}
		return Attachment{Path: s, Original: original, Full: full}, nil
	}
	head, data, ok := strings.Cut(rest, ",")
	out := Attachment{Name: "file", Original: original, Full: full}
	encoded := false
	for _, p := range strings.Split(head, ";") {
		if name, is := strings.CutPrefix(p, "filename="); is {
			if n, err := url.PathUnescape(name); err == nil {
				name = n
			}
			out.Name = name
		}
		encoded = encoded || p == "base64"
	}
	var err error
	if out.Data, err = base64.StdEncoding.DecodeString(data); err != nil || !ok || !encoded {
		return out, Errorf(CodeUsage, "an attachment's data is not base64").WithHint("data:TYPE;filename=NAME;base64,DATA")
	}
	return out, nil
}

func attachments(list []string, original, full bool) (out []Attachment, err error) {
	if len(list) > MaxFiles {
		return nil, Errorf(CodeUsage, "a message has at most %d files", MaxFiles)
	}
	for _, s := range list {
		a, err := attachment(s, original, full)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// thumbnails reads the small pictures that go with attachments, in their order;
// an empty one is none.
func thumbnails(list []string, of []Attachment) error {
	if len(list) > len(of) {
		return Errorf(CodeUsage, "there are more thumbnails than attachments")
	}
	for i, s := range list {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) > maxThumbnail {
			return Errorf(CodeUsage, "a thumbnail is a JPEG picture of at most %d bytes, in base64", maxThumbnail)
		}
		of[i].Thumbnail = b
	}
	return nil
}

type saveParams struct {
	ID      string   `json:"id"`
	File    *int     `json:"file,omitempty"` // which of them, from 0; none: all
	Path    string   `json:"path"`           // absolute
	Timeout Duration `json:"timeout,omitzero"`
}

type saveResult struct {
	Files List[Saved] `json:"files"`
}

func (c *conn) save(ctx context.Context, params []byte) (any, error) {
	var p saveParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	r := SaveRequest{ID: p.ID, File: -1, Path: p.Path}
	if p.File != nil {
		if r.File = *p.File; r.File < 0 {
			return nil, Errorf(CodeUsage, "files are counted from 0")
		}
	}
	if p.Path == "" || len(p.Path) > maxPath {
		return nil, Errorf(CodeUsage, "say where to save it")
	}
	// Fetching may take long, and must not hold up a daemon that stops.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // the daemon's end ends it as well
	if p.Timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, time.Duration(p.Timeout))
		defer done()
	}
	all, err := c.Daemon.Save(ctx, r)
	if errors.Is(err, context.DeadlineExceeded) {
		err = Errorf(CodeTimeout, "the file was not here in time").WithHint("it is fetched on, and saved when you ask again")
	}
	if err != nil {
		return nil, err
	}
	return saveResult{all}, nil
}

type transfersResult struct {
	Transfers List[Transfer] `json:"transfers"`
}

func (c *conn) transfers(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Transfers(ctx)
	return transfersResult{all}, err
}

type cancelTransferParams struct {
	ID   string `json:"id"`
	File int    `json:"file"`
}

func (c *conn) cancelTransfer(ctx context.Context, params []byte) (any, error) {
	var p cancelTransferParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	return none{}, c.Daemon.CancelTransfer(ctx, p.ID, p.File)
}

func (c *conn) resumeTransfer(ctx context.Context, params []byte) (any, error) {
	var p cancelTransferParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	return none{}, c.Daemon.ResumeTransfer(ctx, p.ID, p.File)
}

type getAttachmentParams struct {
	Account   string `json:"account,omitempty"`
	ID        string `json:"id"`
	Recipient string `json:"recipient,omitempty"` // not needed
	GroupID   string `json:"groupId,omitempty"`
	Offset    int64  `json:"offset,omitzero"`
	Length    int    `json:"length,omitzero"` // 0: to the end
}

type getAttachmentResult struct {
	Data string `json:"data"` // in base64
}

// getAttachment is signal-cli's: the content of a file of a message, by the id
// that the message gives it.
func (c *conn) getAttachment(ctx context.Context, params []byte) (any, error) {
	var p getAttachmentParams
	if err := c.decodeFor(ctx, params, &p, &p.Account); err != nil {
		return nil, err
	}
	id, nth, err := ParseFileID(p.ID)
	if err != nil {
		return nil, err
	}
	if p.Length < 0 || p.Length > maxInAnswer || p.Offset < 0 {
		return nil, Errorf(CodeUsage, "offset or length is out of range")
	}
	length := p.Length
	if length == 0 {
		length = maxInAnswer + 1
	}
	data, err := c.Daemon.Attachment(ctx, id, nth, p.Offset, length)
	if err != nil {
		return nil, err
	}
	if len(data) > maxInAnswer {
		return nil, Errorf(CodeUsage, "the file is too large for one answer").WithHint("ask for parts with offset and length, or save it")
	}
	return getAttachmentResult{base64.StdEncoding.EncodeToString(data)}, nil
}

// FileID is the id of a file of a message: the message's, a dash, and which it
// is.
func FileID(message string, nth int) string { return message + "-" + strconv.Itoa(nth) }

// ParseFileID reverses [FileID].
func ParseFileID(s string) (message string, nth int, err error) {
	message, n, ok := strings.Cut(s, "-")
	nth, err = strconv.Atoi(n)
	if err != nil || !ok || nth < 0 || nth >= MaxFiles || n != strconv.Itoa(nth) || checkMessageID(message) != nil {
		return "", 0, Errorf(CodeUsage, "that is not the id of a file")
	}
	return message, nth, nil
}
