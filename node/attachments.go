package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/node/files"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/blob"
)

// spare is how much of the disk files leave free, for the store to work on.
const spare = 256 << 20

// newFiles makes what brings files.
func (n *Node) newFiles() error {
	d, err := blob.Open(filepath.Join(n.cfg.Dir, "store", "files"), spare)
	if err != nil {
		return err
	}
	n.files = files.New(files.Config{
		Dir: d, Host: n.host, Engine: n.engine, Peers: peersOf{n}, Logger: n.log, Prepare: n.preparer.prepare,
		Wake: func(a identity.AccountID) { n.delivery.Wake(a) }, Hurry: func(a identity.AccountID) { n.post.Hurry(a) },
		Relays: n.post, Device: n.engine.Device(),
	})
	return nil
}

// peersOf knows who is there once there is delivery.
type peersOf struct{ *Node }

func (p peersOf) Peers(a identity.AccountID) []peer.ID { return p.delivery.Peers(a) }

// source is a file to be sent, and what is to be closed afterwards.
func (n *Node) source(a api.Attachment) (src files.Source, c io.Closer, err error) {
	if a.Upload != "" {
		src, c, err = n.files.Staged(a.Upload)
		src.Original, src.Full = a.Original, a.Full
		return src, c, err
	}
	if a.Path == "" {
		return files.Source{Name: filepath.Base(a.Name), Size: int64(len(a.Data)), ReaderAt: bytes.NewReader(a.Data), Original: a.Original, Full: a.Full}, io.NopCloser(nil), nil
	}
	if !filepath.IsAbs(a.Path) {
		return files.Source{}, nil, api.Errorf(api.CodeUsage, "the path of a file to be sent must be absolute")
	}
	src, c, err = files.OpenSource(a.Path)
	src.Original, src.Full = a.Original, a.Full
	return src, c, err
}

// attachments takes in what a request sends besides its text.
func (n *Node) attachments(ctx context.Context, r api.SendRequest) ([]message.File, []api.Keeps, func(bool), error) {
	if r.Forward == "" {
		out, keeps, done, err := n.attach(ctx, r.Files)
		if err == nil && r.Voice != nil {
			out[0].Voice = &message.Voice{Duration: uint32(r.Voice.Duration), Bars: r.Voice.Wave}
		}
		return out, keeps, done, err
	}
	id, err := message.ParseID(r.Forward)
	if err != nil {
		return nil, nil, nil, apiError(err)
	}
	v, err := n.engine.Message(id)
	if err != nil {
		return nil, nil, nil, apiError(err)
	}
	if err := mayForward(v); err != nil {
		return nil, nil, nil, err
	}
	out, done, err := n.forwarded(ctx, v)
	return out, nil, done, err
}

// attach takes the files of a request in, and says what those keep that are
// sent as they are. done is to be called with whether
// they were sent.
func (n *Node) attach(ctx context.Context, all []api.Attachment) ([]message.File, []api.Keeps, func(bool), error) {
	if len(all) == 0 {
		return nil, nil, func(bool) {}, nil
	}
	if len(all) > message.MaxFiles {
		return nil, nil, nil, apiError(message.ErrFiles)
	}
	var in []files.Source
	var keeps []api.Keeps
	for i, a := range all {
		src, c, err := n.source(a)
		if err != nil {
			return nil, nil, nil, apiError(err)
		}
		defer func() { _ = c.Close() }()
		if src.Thumbnail, err = n.preparer.shrunk(a.Thumbnail); err != nil {
			return nil, nil, nil, err
		}
		if !src.Original {
			in = append(in, src)
			continue
		}
		if src.Thumbnail, err = n.preparer.thumbnail(src); err != nil {
			return nil, nil, nil, err
		}
		in = append(in, src)
		kinds, err := keptBy(ctx, src)
		if err != nil {
			return nil, nil, nil, apiError(err)
		}
		keeps = append(keeps, api.Keeps{File: i, Name: src.Name, Kinds: kinds})
	}
	out, done, err := n.files.Seal(ctx, in)
	return out, keeps, done, apiError(err)
}

// forwarded takes the files of another message in again: under other keys,
// nobody can tell that they are the same (spec §15.2).
func (n *Node) forwarded(ctx context.Context, v *engine.View) ([]message.File, func(bool), error) {
	if len(v.Files) == 0 {
		return nil, func(bool) {}, nil
	}
	var in []files.Source
	for i, f := range v.Files {
		o, err := n.files.Open(v.ID, i)
		if err != nil {
			return nil, nil, apiError(err)
		}
		defer func() { _ = o.Close() }()
		in = append(in, files.Source{Name: f.Name, Size: int64(f.Size), ReaderAt: o, Original: true})
	}
	out, done, err := n.files.Seal(ctx, in)
	if err != nil {
		return nil, nil, apiError(err)
	}
	for i := range out {
		out[i].Thumbnail, out[i].Voice, out[i].Rest = v.Files[i].Thumbnail, v.Files[i].Voice, v.Files[i].Rest
	}
	return out, done, nil
}

// filesJSON are the files of a message.
func (n *Node) filesJSON(v *engine.View) (out []api.File) {
	for i, f := range v.Files {
		have, state := n.files.Have(v.ID, i)
		j := api.File{
			ID: api.FileID(v.ID.String(), i), Name: f.Name, Type: f.Type, Size: int64(f.Size), SHA256: hexOf(f.SHA256),
			Have: int64(have), State: string(state), Thumbnail: base64.StdEncoding.EncodeToString(f.Thumbnail),
		}
		if f.Voice != nil {
			j.Voice = &api.Voice{Duration: int64(f.Voice.Duration), Wave: f.Voice.Bars}
		}
		j.SaveAs = files.SafeName(f.Name, n.files.Kind(v.ID, i))
		if kind := n.files.Kind(v.ID, i); kind != "" && kind != f.Type {
			j.Type, j.Claimed = kind, f.Type
		}
		if j.Type == "" {
			j.Type = "application/octet-stream"
		}
		out = append(out, j)
	}
	return out
}

func hexOf(b [32]byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 64)
	for _, x := range b {
		out = append(out, digits[x>>4], digits[x&15])
	}
	return string(out)
}

// Save implements api.Daemon.
func (n *Node) Save(ctx context.Context, r api.SaveRequest) ([]api.Saved, error) {
	id, err := message.ParseID(r.ID)
	if err != nil {
		return nil, apiError(err)
	}
	if !filepath.IsAbs(r.Path) {
		return nil, api.Errorf(api.CodeUsage, "the path to save to must be absolute")
	}
	a, err := n.engine.AttachedTo(id)
	if err != nil {
		return nil, apiError(err)
	}
	which := []int{r.File}
	if r.File < 0 {
		which = which[:0]
		for i := range a.Files {
			which = append(which, i)
		}
	} else if r.File >= len(a.Files) {
		return nil, apiError(engine.ErrUnknownMessage)
	}
	if st, err := os.Stat(r.Path); len(which) > 1 && (err != nil || !st.IsDir()) {
		return nil, api.Errorf(api.CodeUsage, "the message has several files").WithHint("say a folder, or which of them")
	}
	var out []api.Saved
	for _, i := range which {
		if err := n.files.Fetch(ctx, id, i); err != nil {
			return nil, apiError(err)
		}
		name, err := n.files.Save(ctx, id, i, r.Path)
		if err != nil {
			return nil, apiError(err)
		}
		out = append(out, api.Saved{File: i, Path: name, Type: n.files.Kind(id, i), Size: int64(a.Files[i].Size)})
	}
	return out, apiError(n.openedBySaving(ctx, id))
}

// openedBySaving begins the time of a message that burns: whoever has a file of
// it has seen it.
func (n *Node) openedBySaving(ctx context.Context, id message.ID) error {
	v, err := n.engine.Message(id)
	if err != nil || v.Burn == 0 || v.Mine || !v.BurnsAt.IsZero() {
		return err
	}
	return n.engine.MarkRead(ctx, v.With, []message.ID{id})
}

func transferJSON(t files.Transfer) api.Transfer {
	out := api.Transfer{
		ID: t.Message.String(), File: t.Nth, Conversation: t.With.String(), Direction: api.TransferIn, Name: t.Name,
		Size: int64(t.Size), Have: int64(t.Have), Rate: int64(t.Rate), Left: t.Left.Round(100 * time.Millisecond).Seconds(), State: string(t.State),
	}
	if t.Out {
		out.Direction = api.TransferOut
	}
	return out
}

// Transfers implements api.Daemon.
func (n *Node) Transfers(context.Context) (out []api.Transfer, _ error) {
	for _, t := range n.files.Transfers() {
		out = append(out, transferJSON(t))
	}
	for _, t := range n.files.Intakes() {
		j := transferJSON(t)
		j.ID, j.Conversation = "", ""
		out = append(out, j)
	}
	return out, nil
}

// CancelTransfer implements api.Daemon.
func (n *Node) CancelTransfer(ctx context.Context, id string, nth int) error {
	mid, err := message.ParseID(id)
	if err == nil {
		err = n.files.Cancel(ctx, mid, nth)
	}
	return apiError(err)
}

// ResumeTransfer implements api.Daemon.
func (n *Node) ResumeTransfer(ctx context.Context, id string, nth int) error {
	mid, err := message.ParseID(id)
	if err == nil {
		err = n.files.Want(ctx, mid, nth)
	}
	return apiError(err)
}

// Attachment implements api.Daemon.
func (n *Node) Attachment(_ context.Context, id string, nth int, offset int64, length int) ([]byte, error) {
	mid, err := message.ParseID(id)
	if err != nil {
		return nil, apiError(err)
	}
	o, err := n.files.Open(mid, nth)
	if err != nil {
		return nil, apiError(err)
	}
	defer func() { _ = o.Close() }()
	out := make([]byte, max(0, min(int64(length), int64(o.File.Size)-offset)))
	if _, err := o.ReadAt(out, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, apiError(err)
	}
	return out, nil
}

// followTransfers calls fn with every transfer as it goes on.
func (n *Node) followTransfers(ctx context.Context, fn func(api.Event) error) error {
	return n.files.Follow(ctx, func(t files.Transfer) error {
		j := transferJSON(t)
		return fn(api.Event{Type: api.EventTransfer, At: api.TimeOf(time.Now()), Transfer: &j})
	})
}
