package message

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"rushlight/protocol/file"
	"rushlight/protocol/wire"
)

// Limits of files of a message (spec §9.3).
const (
	MaxFiles     = 16
	MaxFileName  = 255       // bytes of UTF-8
	MaxFileType  = 127       // bytes
	MaxThumbnail = 12_288    // bytes
	MaxVoice     = 3_600_000 // ms
	MaxBars      = 128
)

// Record types of a file.
const (
	fileName uint16 = iota + 1
	fileType
	fileSize
	fileHash
	fileKey
	fileRoot
	fileThumbnail
	fileVoice
)

// What a file is refused for.
var (
	ErrFiles    = fmt.Errorf("message: a message has 1 to %d files", MaxFiles)
	ErrFileName = errors.New("message: a file needs a name without separators or control characters")
)

// File is a file of a message: what it is called and claims to be, what it is,
// and what is needed to fetch and open it (spec §15.3).
type File struct {
	Name      string // a name, not a path
	Type      string // media type, as the author claims; may be empty
	Size      uint64
	SHA256    [32]byte // of all of it
	Key       file.Key
	Root      file.Name
	Thumbnail []byte // a small JPEG; empty is none
	Voice     *Voice // of something that was said; nil for everything else
	// Rest are the records this version does not know.
	Rest []wire.Record
}

// Voice is what is shown of a recording before it is played.
type Voice struct {
	Duration uint32 // ms, 1 to MaxVoice
	Bars     []byte // how loud it is, part by part, 1 to MaxBars of them
}

func (v *Voice) ok() bool {
	return v.Duration > 0 && v.Duration <= MaxVoice && len(v.Bars) > 0 && len(v.Bars) <= MaxBars
}

// CheckFileName returns [ErrFileName] for what can't be the name of a file. It
// says nothing of whether a system can keep a file under it.
func CheckFileName(s string) error {
	if s == "" || s == "." || s == ".." || len(s) > MaxFileName || !utf8.ValidString(s) || strings.ContainsAny(s, `/\`) {
		return ErrFileName
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ErrFileName
		}
	}
	return nil
}

func (f *File) check() error {
	if err := CheckFileName(f.Name); err != nil {
		return err
	}
	bad := f.Size > file.MaxSize || len(f.Type) > MaxFileType || len(f.Thumbnail) > MaxThumbnail || f.Key == file.Key{} || f.Root == file.Name{} ||
		f.Voice != nil && !f.Voice.ok()
	for _, c := range []byte(f.Type) {
		bad = bad || c < '!' || c > '~'
	}
	if bad {
		return fmt.Errorf("message: %w: a file with a value out of range", wire.ErrMalformed)
	}
	return nil
}

func (f *File) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 256+len(f.Thumbnail)))
	w.Record(fileName, []byte(f.Name))
	if f.Type != "" {
		w.Record(fileType, []byte(f.Type))
	}
	w.Record(fileSize, wire.NewWriter(nil).U64(f.Size).Out())
	w.Record(fileHash, f.SHA256[:]).Record(fileKey, f.Key[:]).Record(fileRoot, f.Root[:])
	if len(f.Thumbnail) > 0 {
		w.Record(fileThumbnail, f.Thumbnail)
	}
	if f.Voice != nil {
		w.Record(fileVoice, wire.NewWriter(nil).U32(f.Voice.Duration).Raw(f.Voice.Bars).Out())
	}
	for _, r := range f.Rest {
		w.Record(r.Type, r.Value)
	}
	return w.Out()
}

func marshalFiles(files []File) []byte {
	w := wire.NewWriter(nil).U8(uint8(len(files)))
	for i := range files {
		w.Vec24(files[i].marshal())
	}
	return w.Out()
}

func checkFiles(files []File) error {
	if len(files) > MaxFiles {
		return ErrFiles
	}
	for i := range files {
		if err := files[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func readFiles(r *wire.Reader) (out []File) {
	n := int(r.U8())
	if n == 0 || n > MaxFiles {
		r.Fail("bad number of files")
		return nil
	}
	for range n {
		in := wire.NewReader(r.Vec24(MaxBody))
		out = append(out, readFile(in.Records(MaxBody), r))
		if in.Close() != nil {
			r.Fail("malformed file")
		}
	}
	return out
}

func readFile(recs []wire.Record, r *wire.Reader) (f File) {
	held := 0
	for i, rec := range recs {
		if rec.Type > fileVoice {
			f.Rest = recs[i:]
			break
		}
		held |= 1 << rec.Type
		v := wire.NewReader(rec.Value)
		switch rec.Type {
		case fileName:
			f.Name = string(v.Rest())
		case fileType:
			f.Type = string(v.Rest())
		case fileSize:
			f.Size = v.U64()
		case fileHash:
			f.SHA256 = v.A32()
		case fileKey:
			f.Key = v.A32()
		case fileRoot:
			f.Root = v.A32()
		case fileThumbnail:
			f.Thumbnail = v.Rest()
		case fileVoice:
			f.Voice = &Voice{Duration: v.U32(), Bars: v.Rest()}
		default:
			r.Fail("unknown record of a file")
		}
		if v.Close() != nil || len(rec.Value) == 0 {
			r.Fail("malformed record of a file")
		}
	}
	const must = 1<<fileName | 1<<fileSize | 1<<fileHash | 1<<fileKey | 1<<fileRoot
	if held&must != must {
		r.Fail("file with a record missing")
	}
	return f
}
