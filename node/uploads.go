package node

import (
	"context"
	"encoding/base64"
	"errors"
	"io"

	"rushlight/node/api"
	"rushlight/node/files"
)

// Upload implements api.Daemon.
func (n *Node) Upload(ctx context.Context, name string, size int64, r io.Reader) (api.Upload, error) {
	id, err := n.files.Stage(ctx, name, size, r)
	if err != nil {
		return api.Upload{}, apiError(err)
	}
	u, err := n.foresee(ctx, id)
	if err != nil {
		return api.Upload{}, apiError(errors.Join(err, n.files.Unstage(id)))
	}
	return u, nil
}

// foresee says what will be made of a file that was taken in.
func (n *Node) foresee(ctx context.Context, id string) (u api.Upload, err error) {
	src, c, err := n.files.Staged(id)
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	u = api.Upload{ID: id, Name: src.Name, Size: src.Size, SentAs: src.Name, Sends: src.Size}
	if u.Type, err = src.Kind(); err != nil {
		return u, err
	}
	p, err := n.preparer.prepare(ctx, src)
	if refused, ok := errors.AsType[*api.Error](err); ok {
		u.Change, u.Why = api.ChangeRefused, refused.Message
		return u, nil
	}
	if err != nil {
		return u, err
	}
	u.Change, u.Sends, u.Thumbnail = changes[p.Change], p.Size, base64.StdEncoding.EncodeToString(p.Thumbnail)
	if p.Name != "" {
		u.SentAs = p.Name
	}
	return u, nil
}

var changes = map[files.Change]string{
	files.Unchanged: api.ChangeNone, files.Cleaned: api.ChangeCleaned, files.Scaled: api.ChangeScaled, files.Encoded: api.ChangeEncoded,
}

// DropUpload implements api.Daemon.
func (n *Node) DropUpload(_ context.Context, id string) error { return apiError(n.files.Unstage(id)) }
