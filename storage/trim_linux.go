package storage

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Trim asks the system to take back the memory in which the database's files
// are mapped; nothing is lost, and what is needed is read again. A daemon that
// falls idle calls it.
func (s *Store) Trim() { s.trim(func(string) bool { return true }) }

// TrimTables is [Store.Trim] for a store that is written to: it leaves alone
// whatever somebody may be writing.
func (s *Store) TrimTables() {
	s.trim(func(path string) bool {
		st, err := os.Stat(path)
		return err == nil && filepath.Ext(path) == ".sst" && time.Since(st.ModTime()) > settled
	})
}

// settled is how long ago a table was written at least that nobody writes any
// more.
const settled = 5 * time.Second

func (s *Store) trim(which func(path string) bool) {
	if !s.gate.enter() {
		return
	}
	defer s.gate.leave()
	dir, err := filepath.EvalSymlinks(filepath.Join(s.dir, dirDatabase))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	sc := bufio.NewScanner(maps)
	for sc.Scan() {
		if from, to, path := mapped(sc.Bytes(), dir); path != "" && which(path) {
			// Unlike MADV_DONTNEED this is harmless should another
			// mapping have taken the place meanwhile.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_PAGEOUT)
		}
	}
}

// mapped parses a line of /proc/self/maps. The path is empty unless it is that of
// a file of the database.
func mapped(line []byte, dir string) (from, to uintptr, path string) {
	i := bytes.IndexByte(line, '/')
	if i < 0 || !bytes.HasPrefix(line[i:], []byte(dir+"/")) {
		return 0, 0, ""
	}
	switch filepath.Ext(string(line)) {
	case ".sst", ".mem", ".vlog":
	default:
		return 0, 0, ""
	}
	lo, rest, _ := bytes.Cut(line, []byte("-"))
	hi, _, _ := bytes.Cut(rest, []byte(" "))
	a, err1 := strconv.ParseUint(string(lo), 16, int(unsafe.Sizeof(from))*8)
	b, err2 := strconv.ParseUint(string(hi), 16, int(unsafe.Sizeof(from))*8)
	if err1 != nil || err2 != nil || a >= b {
		return 0, 0, ""
	}
	return uintptr(a), uintptr(b), string(line[i:])
}
