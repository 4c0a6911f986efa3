// Package keyfile keeps the keys whose destruction destroys data: here the
// slots that wrap a profile's root key under what a person knows.
//
// It is not a keyring and holds no key while idle: every call opens the file,
// does its work and wipes what it had. It promises that nothing but the right
// passphrase or recovery code gives the root, that a guess costs one full
// argon2id whether it is right or wrong, that a damaged file gives an error and
// never another root, and that a changed passphrase overwrites the old slot
// where it stood. It can't promise what the disk underneath does with
// overwritten blocks. storage/FORMAT.md §7 has the layout.
package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rushlight/protocol/suite"
	"rushlight/storage/twoslot"
)

// Errors a caller acts on. A missing file is fs.ErrNotExist, one that is there
// already fs.ErrExist.
var (
	ErrWrongPassphrase = errors.New("keyfile: wrong passphrase")
	ErrWrongRecovery   = errors.New("keyfile: wrong recovery code")
	ErrCorrupt         = errors.New("keyfile: the key file is damaged; put a copy of it back")
	ErrVersion         = errors.New("keyfile: the key file needs a newer version")
	// ErrDowngrade: the file asks for less work than is safe, or for more
	// than any version of this program does. It is an ErrCorrupt too.
	ErrDowngrade = fmt.Errorf("%w: it asks for unsafe parameters", ErrCorrupt)
)

// Sizes in bytes.
const (
	RecoverySize  = 16
	MaxPassphrase = 1024
)

const fileName = "keyslots"

func path(dir string) string { return filepath.Join(dir, fileName) }

// Exists reports whether dir has a key file, whole or not.
func Exists(dir string) bool {
	_, err := os.Lstat(path(dir))
	return err == nil
}

// Create makes the key file of a new profile in dir, which must exist, and
// returns a fresh root. The recovery code must be RecoverySize random bytes.
// Zero Params are chosen by [Calibrate].
func Create(dir string, passphrase, recovery []byte, p Params) (root [32]byte, err error) {
	if Exists(dir) {
		return root, fmt.Errorf("keyfile: creating: %w", fs.ErrExist)
	}
	if len(recovery) != RecoverySize {
		return root, errors.New("keyfile: a recovery code has RecoverySize bytes")
	}
	suite.Random(root[:])
	var s slots
	if s.pass, err = wrapPassphrase(passphrase, root, p); err == nil {
		s.recovery = wrapRecovery(recovery, root)
		suite.Random(s.duress[:])
		err = s.create(dir)
	}
	if err != nil {
		clear(root[:])
		return root, err
	}
	return root, nil
}

// Open returns the root for the passphrase, or [ErrWrongPassphrase], also for
// that of a decoy; see [Unlock].
func Open(dir string, passphrase []byte) (root [32]byte, err error) {
	f, s, err := load(dir)
	if err != nil {
		return root, err
	}
	defer func() { _ = f.Close() }()
	root, _, err = s.openReal(passphrase)
	return root, err
}

// openReal is open without the decoy. It also says what the passphrase hashed
// to, which is the caller's to wipe.
func (s slots) openReal(passphrase []byte) (root [32]byte, hash []byte, err error) {
	root, duress, hash, err := s.open(passphrase)
	if err == nil && duress {
		err = ErrWrongPassphrase
	}
	if err != nil {
		clear(root[:])
		clear(hash)
		return [32]byte{}, nil, err
	}
	return root, hash, nil
}

// OpenWithRecovery returns the root for the recovery code, or
// [ErrWrongRecovery].
func OpenWithRecovery(dir string, recovery []byte) (root [32]byte, err error) {
	f, s, err := load(dir)
	if err != nil {
		return root, err
	}
	defer func() { _ = f.Close() }()
	return s.recovery.open(recovery)
}

// ChangePassphrase replaces the passphrase and overwrites the old slot. Older
// copies of the disk still open with the old passphrase. After an error from
// the disk the file opens with one of the two. Zero Params are those the file
// has; with others a duress passphrase is forgotten, because it can't be hashed
// anew. A passphrase that opens the decoy is [ErrTaken].
func ChangePassphrase(dir string, old, passphrase []byte, p Params) error {
	return rewrap(dir, passphrase, p, func(s slots) ([32]byte, error) {
		root, hash, err := s.openReal(old)
		clear(hash)
		return root, err
	})
}

// ResetPassphrase is [ChangePassphrase] for who has only the recovery code.
func ResetPassphrase(dir string, recovery, passphrase []byte, p Params) error {
	return rewrap(dir, passphrase, p, func(s slots) ([32]byte, error) { return s.recovery.open(recovery) })
}

func rewrap(dir string, passphrase []byte, p Params, open func(slots) ([32]byte, error)) error {
	f, s, err := load(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	root, err := open(s)
	if err != nil {
		return err
	}
	defer clear(root[:])
	if (p == Params{} || p == s.pass.params) && s.pass.wrap != nil {
		_, duress, hash, oerr := s.open(passphrase)
		clear(hash)
		if oerr == nil && duress {
			return ErrTaken
		}
		s.pass, err = s.pass.again(passphrase, root)
	} else {
		s.pass, err = wrapPassphrase(passphrase, root, p)
		suite.Random(s.duress[:])
	}
	if err != nil {
		return err
	}
	return s.replace(f)
}

// replace makes s the file's record, and destroys the one before.
func (s slots) replace(f *twoslot.File) error {
	if err := f.Replace(s.marshal()); err != nil {
		return fmt.Errorf("keyfile: writing the new slot: %w", err)
	}
	if err := f.Scrub(); err != nil {
		return fmt.Errorf("keyfile: erasing the old slot: %w", err)
	}
	return nil
}

// Destroy overwrites all slots, so that no passphrase and no recovery code
// gives the root any more, and removes the file. It works on a damaged file.
func Destroy(dir string) error {
	if err := twoslot.Destroy(path(dir)); err != nil {
		return fmt.Errorf("keyfile: destroying: %w", err)
	}
	return nil
}

// load opens and parses the file. When a change was cut off after its commit,
// the erasure of the old slot is made up for first.
func load(dir string) (*twoslot.File, slots, error) {
	f, err := twoslot.Open(path(dir))
	if errors.Is(err, twoslot.ErrDamaged) {
		return nil, slots{}, ErrCorrupt
	}
	if err != nil {
		return nil, slots{}, fmt.Errorf("keyfile: %w", err)
	}
	s, err := parseSlots(f.Body())
	if err == nil && f.Older() {
		if serr := f.Scrub(); serr != nil {
			err = fmt.Errorf("keyfile: erasing the old slot: %w", serr)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, slots{}, err
	}
	return f, s, nil
}

func (s slots) create(dir string) error {
	f, err := twoslot.Create(path(dir), s.marshal())
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return f.Close()
}
