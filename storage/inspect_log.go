package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4/y"
)

// A write-ahead log of Badger's is key id u64 ‖ IV[12] ‖ entries ‖ zeros. An
// entry is meta ‖ user meta ‖ key length ‖ value length ‖ expiry (the last
// three as varints) ‖ key and value, encrypted ‖ CRC of all that. A
// transaction is its entries and then a mark with its version.
const (
	logHead    = 20
	metaTxn    = 1 << 6
	metaFin    = 1 << 7
	finKey     = "!badger!txn"
	nodeBytes  = 100 // of a skip-list node, at most
	quietBytes = 64
)

type logInfo struct {
	first, last uint64 // versions of whole transactions; zero for none
	memTable    int64
	repairs     []func() error
}

// readLog reads a log whole. version is the newest one before it. What one
// unfinished commit leaves behind is cut off; anything else is damage.
func readLog(path string, reg *registry, version uint64) (logInfo, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return logInfo{}, cause(err, "reading a log")
	}
	if len(b) == 0 { // made, and nothing written yet; Badger can't open it
		return logInfo{repairs: []func() error{func() error { return os.Remove(path) }}}, nil
	}
	info, end, err := parseLog(b, reg, version)
	if err != nil {
		return logInfo{}, err
	}
	if !zero(b[end:]) {
		info.repairs = append(info.repairs, func() error { return os.Truncate(path, int64(end)) })
	}
	return info, nil
}

func zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// parseLog returns what is in the log and where the last whole transaction
// ends.
func parseLog(b []byte, reg *registry, version uint64) (info logInfo, end int, err error) {
	if len(b) < logHead {
		return info, 0, fmt.Errorf("%w: a log is cut short", ErrCorrupt)
	}
	if zero(b) {
		return info, logHead, nil
	}
	l := logReader{b: b, key: reg.keys[binary.BigEndian.Uint64(b)]}
	if l.key == nil {
		return info, 0, fmt.Errorf("%w: a log's key is missing", ErrCorrupt)
	}
	entries := int64(0)
	end = logHead
	broken := logHead
	for at := logHead; ; {
		broken = at
		e, ok := l.entry(at)
		if !ok || e.meta&(metaTxn|metaFin) == 0 {
			break
		}
		at += e.size
		entries++
		if e.meta&metaFin == 0 {
			continue
		}
		v, ok := l.mark(e)
		if !ok || (info.last != 0 && v != info.last+1) {
			return info, 0, fmt.Errorf("%w: a log's transactions don't follow each other", ErrCorrupt)
		}
		if info.first == 0 {
			info.first = v
		}
		info.last, end = v, at
	}
	// Badger's arena is 1.3 × MemTableSize.
	info.memTable = (int64(end)+entries*nodeBytes)*10/13 + 1
	rest := b[end:]
	if zero(rest) {
		return info, end, nil
	}
	if !zero(rest[max(0, len(rest)-quietBytes):]) {
		return info, 0, fmt.Errorf("%w: a log is cut short", ErrCorrupt)
	}
	unfinished := info.last + 1
	if info.last == 0 {
		unfinished = version + 1
	}
	if l.damaged(end, broken, unfinished) {
		return info, 0, fmt.Errorf("%w: a log is damaged before its end", ErrCorrupt)
	}
	return info, end, nil
}

// damaged tells damage from what one unfinished commit, of the given version,
// leaves behind end; broken is the first entry that doesn't fit. A commit is
// written in order, and after a power cut whole sectors of it can be missing.
// The next one starts only when it is on the disk.
func (l logReader) damaged(end, broken int, unfinished uint64) bool {
	for at := end; at+24 < len(l.b); at++ {
		if l.b[at] != metaFin || l.b[at+1] != 0 || l.b[at+2] != byte(len(finKey)+8) {
			continue
		}
		e, ok := l.entry(at)
		if !ok {
			continue
		}
		v, ok := l.mark(e)
		if ok && (v > unfinished || v == unfinished && !l.gap(broken, at)) {
			return true
		}
	}
	// All entries are whole: is what follows the mark, and not its beginning?
	want := l.encodeMark(broken, unfinished)
	got := l.b[broken:min(len(l.b), broken+len(want))]
	same := 0
	for i := range got {
		if got[i] == want[i] {
			same++
		}
	}
	whole := len(got) == len(want) && !zero(got[len(got)-4:])
	return whole && same > len(want)/2
}

// gap reports whether a sector between two offsets was never written.
func (l logReader) gap(from, to int) bool {
	const sector = 512
	for at := (from + sector - 1) / sector * sector; at+sector <= to; at += sector {
		if zero(l.b[at : at+sector]) {
			return true
		}
	}
	return false
}

type logReader struct {
	b   []byte
	key []byte
}

type logEntry struct {
	meta   byte
	at     int    // where the entry starts
	kv     []byte // encrypted
	keyLen int
	size   int
}

// entry reads the entry at an offset and checks its sum.
func (l logReader) entry(at int) (e logEntry, ok bool) {
	b := l.b[at:]
	if len(b) < 9 {
		return e, false
	}
	n := 2
	var lens [3]uint64
	for i := range lens {
		v, w := binary.Uvarint(b[n:])
		if w <= 0 {
			return e, false
		}
		lens[i], n = v, n+w
	}
	room := uint64(len(b) - n - 4)
	if n+4 > len(b) || lens[0] > 1<<16 || lens[1] > room || lens[0]+lens[1] > room {
		return e, false
	}
	kv := b[n : n+int(lens[0]+lens[1])]
	n += len(kv)
	if crc32.Checksum(b[:n], y.CastagnoliCrcTable) != binary.BigEndian.Uint32(b[n:]) {
		return e, false
	}
	return logEntry{meta: b[0], at: at, kv: kv, keyLen: int(lens[0]), size: n + 4}, true
}

// mark returns the version in the entry that ends a transaction.
func (l logReader) mark(e logEntry) (version uint64, ok bool) {
	iv := binary.BigEndian.AppendUint32(slices.Clone(l.b[8:logHead]), uint32(e.at))
	kv, err := y.XORBlockAllocate(e.kv, l.key, iv)
	if err != nil || e.keyLen != len(finKey)+8 || string(kv[:len(finKey)]) != finKey {
		return 0, false
	}
	version, err = strconv.ParseUint(string(kv[e.keyLen:]), 10, 64)
	return version, err == nil
}

// encodeMark is the entry that ends the transaction of a version, at an offset.
func (l logReader) encodeMark(at int, version uint64) []byte {
	kv := binary.BigEndian.AppendUint64([]byte(finKey), math.MaxUint64-version)
	kv = strconv.AppendUint(kv, version, 10)
	iv := binary.BigEndian.AppendUint32(slices.Clone(l.b[8:logHead]), uint32(at))
	sealed, err := y.XORBlockAllocate(kv, l.key, iv)
	if err != nil {
		return nil
	}
	e := append([]byte{metaFin, 0, byte(len(finKey) + 8), byte(len(kv) - len(finKey) - 8), 0}, sealed...)
	return binary.BigEndian.AppendUint32(e, crc32.Checksum(e, y.CastagnoliCrcTable))
}
