package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

var errTable = errors.New("its structure is damaged")

// ivSize is what Badger appends to what it encrypts in a table.
const ivSize = 16

// verifyTable reads a table of Badger's (blocks ‖ index ‖ u32 index length ‖
// checksum ‖ u32 checksum length) and checks the sums of its index and of every
// block. It returns the newest version in it and a buffer for the next call.
func verifyTable(path string, key, buf []byte) (newest uint64, next []byte, err error) {
	if key == nil {
		return 0, buf, errors.New("its key is missing")
	}
	if buf, err = readInto(path, buf); err != nil {
		return 0, buf, err
	}
	newest, err = parseTable(buf, key)
	return newest, buf, err
}

// verifyEnds is verifyTable for the index, the first block and the last: what
// Badger reads of a table to open it.
func verifyEnds(path string, key, buf []byte) (newest uint64, next []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errTable
		}
	}()
	if key == nil {
		return 0, buf, errors.New("its key is missing")
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, buf, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return 0, buf, err
	}
	tail := int64(64 << 10)
	for {
		tail = min(tail, st.Size())
		if buf, err = readRange(f, st.Size()-tail, int(tail), buf); err != nil {
			return 0, buf, err
		}
		need, err := indexTail(buf)
		if err != nil {
			return 0, buf, err
		}
		if int64(need) <= tail {
			break
		}
		if int64(need) > st.Size() {
			return 0, buf, errTable
		}
		tail = int64(need)
	}
	index, err := tableIndex(buf, key)
	if err != nil {
		return 0, buf, err
	}
	var at fb.BlockOffset
	for _, i := range []int{0, index.OffsetsLength() - 1} {
		if i < 0 || !index.Offsets(&at, i) || at.Len() < ivSize || int64(at.Offset())+int64(at.Len()) > st.Size() {
			return 0, buf, errTable
		}
		block, err := readRange(f, int64(at.Offset()), int(at.Len()), nil)
		if err != nil {
			return 0, buf, err
		}
		if _, err = verifyBlock(block, key, nil); err != nil {
			return 0, buf, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return index.MaxVersion(), buf, nil
}

// indexTail returns how many bytes at the end of a table hold its index and
// what follows it.
func indexTail(b []byte) (int, error) {
	rest, _, err := cutChecksum(b)
	if err != nil || len(rest) < 4 {
		return 0, errTable
	}
	return len(b) - len(rest) + 4 + int(binary.BigEndian.Uint32(rest[len(rest)-4:])), nil
}

func readRange(f *os.File, from int64, n int, buf []byte) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := f.ReadAt(buf, from)
	return buf, err
}

func parseTable(b, key []byte) (newest uint64, err error) {
	defer func() {
		if recover() != nil { // from decoding an index that isn't one
			err = errTable
		}
	}()
	index, err := tableIndex(b, key)
	if err != nil {
		return 0, err
	}
	var at fb.BlockOffset
	plain := make([]byte, 0, 8<<10)
	for i := range index.OffsetsLength() {
		if !index.Offsets(&at, i) {
			return 0, errTable
		}
		from, n := int(at.Offset()), int(at.Len())
		if n < ivSize || from < 0 || from+n > len(b) {
			return 0, errTable
		}
		if plain, err = verifyBlock(b[from:from+n], key, plain); err != nil {
			return 0, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return index.MaxVersion(), nil
}

func tableIndex(b, key []byte) (*fb.TableIndex, error) {
	b, sum, err := cutChecksum(b)
	if err != nil || len(b) < 4 {
		return nil, errTable
	}
	n := int(binary.BigEndian.Uint32(b[len(b)-4:]))
	b = b[:len(b)-4]
	if n < ivSize || n > len(b) {
		return nil, errTable
	}
	b = b[len(b)-n:]
	if err := y.VerifyChecksum(b, sum); err != nil {
		return nil, errors.New("its index has the wrong checksum")
	}
	plain, err := y.XORBlockAllocate(b[:n-ivSize], key, b[n-ivSize:])
	if err != nil {
		return nil, err
	}
	return fb.GetRootAsTableIndex(plain, 0), nil
}

func verifyBlock(b, key, plain []byte) ([]byte, error) {
	n := len(b) - ivSize
	if cap(plain) < n {
		plain = make([]byte, n)
	}
	plain = plain[:n]
	if err := y.XORBlock(plain, b[:n], key, b[n:]); err != nil {
		return plain, err
	}
	data, sum, err := cutChecksum(plain)
	if err != nil {
		return plain, err
	}
	if err := y.VerifyChecksum(data, sum); err != nil {
		return plain, errors.New("wrong checksum")
	}
	return plain, nil
}

// cutChecksum splits data ‖ checksum ‖ u32 checksum length.
func cutChecksum(b []byte) ([]byte, *pb.Checksum, error) {
	if len(b) < 4 {
		return nil, nil, errTable
	}
	n := int(binary.BigEndian.Uint32(b[len(b)-4:]))
	b = b[:len(b)-4]
	if n > len(b) || n > 64 {
		return nil, nil, errTable
	}
	var sum pb.Checksum
	if err := proto.Unmarshal(b[len(b)-n:], &sum); err != nil {
		return nil, nil, errTable
	}
	if sum.Algo != pb.Checksum_CRC32C && sum.Algo != pb.Checksum_XXHash64 {
		return nil, nil, errTable
	}
	return b[:len(b)-n], &sum, nil
}

// guessTable returns the newest version in a table whose key isn't known, or
// zero when it is no whole table under any key: a crash leaves such files.
func (r *registry) guessTable(path string) (newest uint64) {
	for _, key := range r.keys {
		if v, _, err := verifyTable(path, key, nil); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}

func readInto(path string, buf []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return buf, err
	}
	if st.Size() > 1<<30 {
		return buf, errTable
	}
	n := int(st.Size())
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(f, buf)
	return buf, err
}
