package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// registry is Badger's file of data keys.
type registry struct {
	keys    map[uint64][]byte
	repairs []func() error
}

const (
	registryHead  = 16 + 12 // IV ‖ encrypted sanity text
	maxDataKey    = 1 << 10
	registryHello = "Hello Badger"
)

// readRegistry reads IV[16] ‖ sanity[12] ‖ (u32 length ‖ u32 CRC ‖ data key)*.
// A last entry that was cut off is dropped: its key was never used.
func readRegistry(path string, k *keys) (*registry, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &registry{}, nil
	}
	if err != nil {
		return nil, cause(err, "reading the key registry")
	}
	r, end, err := parseRegistry(b, k)
	if err == nil && end < len(b) {
		r.repairs = append(r.repairs, func() error { return os.Truncate(path, int64(end)) })
	}
	return r, err
}

// parseRegistry also returns where the last whole entry ends.
func parseRegistry(b []byte, k *keys) (r *registry, end int, err error) {
	r = &registry{keys: map[uint64][]byte{}}
	if len(b) < registryHead {
		return nil, 0, fmt.Errorf("%w: the key registry is cut short", ErrCorrupt)
	}
	hello, err := y.XORBlockAllocate(b[16:registryHead], k.badger[:], b[:16])
	if err != nil || string(hello) != registryHello {
		return nil, 0, fmt.Errorf("%w: the key registry's head", ErrCorrupt)
	}
	for at := registryHead; at < len(b); {
		rest := b[at:]
		n := 0
		if len(rest) >= 8 {
			n = int(binary.BigEndian.Uint32(rest))
		}
		if len(rest) < 8 || (n <= maxDataKey && len(rest) < 8+n) || n == 0 {
			return r, at, nil
		}
		if n > maxDataKey || crc32.Checksum(rest[8:8+n], y.CastagnoliCrcTable) != binary.BigEndian.Uint32(rest[4:]) {
			return nil, 0, fmt.Errorf("%w: an entry of the key registry", ErrCorrupt)
		}
		var dk pb.DataKey
		if err := proto.Unmarshal(rest[8:8+n], &dk); err != nil || len(dk.Iv) != 16 || len(dk.Data) != 32 {
			return nil, 0, fmt.Errorf("%w: an entry of the key registry", ErrCorrupt)
		}
		if r.keys[dk.KeyId], err = y.XORBlockAllocate(dk.Data, k.badger[:], dk.Iv); err != nil {
			return nil, 0, fmt.Errorf("%w: an entry of the key registry: %w", ErrCorrupt, err)
		}
		at += 8 + n
	}
	return r, len(b), nil
}
