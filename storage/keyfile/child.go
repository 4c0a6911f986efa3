package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"rushlight/protocol/wire"
)

// The memory that argon2id takes would stay with the daemon, and what it held
// could be found there. So the program starts itself once more for it, and the
// child ends with its memory.

const (
	childEnv  = "RUSHLIGHT_KEYFILE_CHILD"
	keySize   = 32
	maxAsk    = 64 + MaxPassphrase
	askFormat = 1 // version of what parent and child say to each other
)

var haveChild atomic.Bool

// RunChildIfAsked must be the first thing that main does. In a process that was
// started as a child it doesn't return. Otherwise it lets this package start
// the program as its child from then on; without it, hashing is done in the
// process itself.
func RunChildIfAsked() {
	if os.Getenv(childEnv) == "" {
		haveChild.Store(true)
		return
	}
	protectChild()
	if err := serve(os.Stdin, os.Stdout); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// stretch is argon2id. The result is the caller's to wipe.
func stretch(p Params, salt, passphrase []byte) ([]byte, error) {
	if !haveChild.Load() {
		return argon2.IDKey(passphrase, salt, p.Time, p.Memory, p.Threads, keySize), nil
	}
	ask := encodeAsk(p, salt, passphrase)
	defer clear(ask)
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("keyfile: finding the program: %w", err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{childEnv + "=1"}
	cmd.Stdin = bytes.NewReader(ask)
	var key fixed
	cmd.Stdout = &key
	if err := cmd.Run(); err != nil {
		clear(key.b[:])
		return nil, fmt.Errorf("keyfile: hashing the passphrase needs %d MiB of memory: %w", p.Memory>>10, err)
	}
	if key.n != keySize {
		clear(key.b[:])
		return nil, errors.New("keyfile: the hashing process gave no key")
	}
	return key.b[:keySize], nil
}

// serve answers one request.
func serve(in io.Reader, out io.Writer) error {
	ask, err := io.ReadAll(io.LimitReader(in, maxAsk+1))
	defer clear(ask)
	if err != nil {
		return err
	}
	p, salt, passphrase, err := parseAsk(ask)
	if err != nil {
		return err
	}
	key := argon2.IDKey(passphrase, salt, p.Time, p.Memory, p.Threads, keySize)
	defer clear(key)
	_, err = out.Write(key)
	return err
}

func encodeAsk(p Params, salt, passphrase []byte) []byte {
	return wire.NewWriter(make([]byte, 0, maxAsk)).U8(askFormat).
		U32(p.Memory).U32(p.Time).U8(p.Threads).Vec8(salt).Vec16(passphrase).Out()
}

func parseAsk(b []byte) (p Params, salt, passphrase []byte, err error) {
	r := wire.NewReader(b)
	if r.U8() != askFormat {
		r.Fail("version")
	}
	p = Params{Memory: r.U32(), Time: r.U32(), Threads: r.U8()}
	salt = r.Vec8(saltSize)
	passphrase = r.Vec16(MaxPassphrase + 1)
	if r.Err() == nil && p.check() != nil {
		r.Fail("parameters")
	}
	return p, salt, passphrase, r.Close()
}

// fixed takes at most one key.
type fixed struct {
	b [keySize]byte
	n int
}

func (f *fixed) Write(p []byte) (int, error) {
	if f.n+len(p) > keySize {
		return 0, errors.New("keyfile: too much output")
	}
	f.n += copy(f.b[f.n:], p)
	return len(p), nil
}
