//go:build !linux

package logsync

import "os"

// Alone says that syncing a file brings what was written to it through a
// mapping to the disk. It isn't known to here.
const Alone = false

func sync(f *os.File) error { return f.Sync() }

type reserve struct{}

func (*reserve) synced(*os.File) {}

func (*reserve) close() {}

// removed reports whether a file has no name any more; here nobody asks.
func removed(*os.File) (bool, error) { return false, nil }

type pages struct{}

func newPages() pages { return pages{} }

// Written does nothing here.
func (l *Log) Written(int) {}
