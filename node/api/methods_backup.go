package api

import (
	"context"
	"path/filepath"
)

// BackupRequest asks for a backup.
type BackupRequest struct {
	Path       string `json:"path" rpc:"required"`       // absolute; nothing is overwritten
	Passphrase string `json:"passphrase" rpc:"required"` // what it is encrypted under
	Expiring   bool   `json:"expiring"`                  // messages with a timer, too
}

// Backup says what was saved or restored.
type Backup struct {
	Contacts uint32 `json:"contacts"`
	Messages uint32 `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

func (c *conn) backup(ctx context.Context, params []byte) (any, error) {
	var r BackupRequest
	if err := decode(params, &r); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(r.Path) || r.Passphrase == "" {
		return nil, Errorf(CodeUsage, "a backup needs an absolute path and a passphrase")
	}
	if c.Backup == nil {
		return nil, Errorf(CodeNotAllowed, "this daemon makes no backups")
	}
	return c.Backup(ctx, r)
}
