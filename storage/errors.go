package storage

import "errors"

// Errors a caller acts on.
var (
	// ErrNotFound: no live record has this key.
	ErrNotFound = errors.New("no such record")
	// ErrLocked: another process, or another Store, has the directory.
	ErrLocked = errors.New("the directory is in use by another process")
	// ErrWrongKey: the root isn't the one the store was made with. Nothing
	// was touched.
	ErrWrongKey = errors.New("the key doesn't belong to this store")
	// ErrCorrupt: files or records aren't what was written. The text says
	// what; the directory is left for a copy to be put back.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrRolledBack: the directory is whole but older than this device's
	// last run. It is an ErrCorrupt too.
	ErrRolledBack = errors.New("the store is older than its last run: an old copy was put back, or the disk lost writes; " +
		"sending from it would use keys twice, so put the newest copy back or link this device anew")
	// ErrVersion: a newer version of the program wrote this store.
	ErrVersion = errors.New("the store needs a newer version")
	// ErrNoSpace: too little disk space, too few inodes or file handles are
	// left to write safely. Reading works on.
	ErrNoSpace = errors.New("not enough room to write safely")
	// ErrDisk: the disk reports errors. What was acknowledged is there.
	ErrDisk = errors.New("the disk reports errors")
	// ErrReadOnly: the directory can't be written.
	ErrReadOnly = errors.New("the directory can't be written")
	// ErrPoisoned: a commit failed, so it isn't known what is on the disk.
	// Close and open again, then read what is there.
	ErrPoisoned = errors.New("a commit failed; close and open the store again")
	// ErrFull: the transaction can't take this write. Commit what is there
	// and go on in the next one; see [Tx.Fits].
	ErrFull = errors.New("the transaction is full")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// poisonError is both ErrPoisoned and its cause.
type poisonError struct{ cause error }

func (p *poisonError) Error() string {
	return "storage: " + ErrPoisoned.Error() + ": " + p.cause.Error()
}
func (p *poisonError) Unwrap() []error { return []error{ErrPoisoned, p.cause} }

// rolledBack is both ErrRolledBack and ErrCorrupt.
type rolledBack struct{}

func (rolledBack) Error() string   { return ErrRolledBack.Error() }
func (rolledBack) Unwrap() []error { return []error{ErrRolledBack, ErrCorrupt} }
