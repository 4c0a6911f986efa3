// Package media takes out of pictures, films, sound and documents what they
// tell beside what is seen and heard: where and when they were made, with which
// device, by whom.
//
// It works by allow-list: a part of a file that isn't known to be needed to
// show it is left out, so that kinds of metadata that nobody has heard of go
// too. What is seen stays as it was, bit by bit: nothing is decoded and encoded
// again. The orientation of a picture and colours that aren't plain sRGB are
// kept, in a form that tells nothing else.
//
// It does not look into coded pictures and sound themselves: the tables of a
// JPEG file, the settings that a film's encoder wrote into its stream, and the
// noise of a sensor stay what they are. Pictures inside PDF files stay too.
//
// A file that is damaged, or of a kind that isn't listed here, is refused and
// never passed through. Cleaning what is clean changes nothing.
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Errors of [Clean].
var (
	// ErrUnknown: not a kind of file that can be cleaned. It can still be sent
	// as a file, by somebody who was told.
	ErrUnknown = errors.New("media: its metadata can't be removed: not a kind of file that is known")
	// ErrDamaged: the file isn't what its first bytes say.
	ErrDamaged = errors.New("media: the file is damaged")
)

// Type is a media type, as in RFC 6838, that [Detect] recognises by content.
type Type string

// The types whose metadata can be removed.
const (
	JPEG Type = "image/jpeg"
	PNG  Type = "image/png"
	GIF  Type = "image/gif"
	WebP Type = "image/webp"
	HEIC Type = "image/heic"
	AVIF Type = "image/avif"
	MP4  Type = "video/mp4"
	MOV  Type = "video/quicktime"
	M4A  Type = "audio/mp4"
	WebM Type = "video/webm"
	MP3  Type = "audio/mpeg"
	FLAC Type = "audio/flac"
	Ogg  Type = "audio/ogg"
	WAV  Type = "audio/wav"
	PDF  Type = "application/pdf"
)

// Cleaned is a file without its metadata: a list of parts of the file it was
// made from, which is read when this is. The source must not change
// meanwhile.
type Cleaned struct {
	Type Type
	// Kept says in words what of a file's metadata stays in it; empty for
	// nothing.
	Kept []string

	src  io.ReaderAt
	plan plan
}

// Size is the length of what WriteTo writes, in bytes.
func (c *Cleaned) Size() int64 { return c.plan.size }

// Reader reads the cleaned file. It takes little memory, however long the file
// is.
func (c *Cleaned) Reader() io.Reader { return c.plan.reader(c.src) }

// Clean looks through the size bytes of src and returns the file without its
// metadata. It reads everything that tells what is what, before anything is
// written: a file that is refused was refused as a whole. Errors are
// [ErrUnknown], [ErrDamaged], that of ctx, and what src returned.
func Clean(ctx context.Context, src io.ReaderAt, size int64) (*Cleaned, error) {
	return cleanWith(src, size, func(s *source, c *Cleaned) error { return cleanPDF(ctx, s, c) })
}

// cleanWith is Clean with something that cleans documents, which takes long.
func cleanWith(src io.ReaderAt, size int64, document func(*source, *Cleaned) error) (*Cleaned, error) {
	s := &source{r: src, size: size}
	head, err := s.head()
	if err != nil {
		return nil, err
	}
	c := &Cleaned{Type: Detect(head), src: src}
	clean := cleaners[c.Type]
	if c.Type == PDF {
		clean = document
	}
	if clean == nil {
		return nil, ErrUnknown
	}
	if err := clean(s, c); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	return c, nil
}

var cleaners = map[Type]func(*source, *Cleaned) error{
	JPEG: cleanJPEG,
	PNG:  cleanPNG,
	GIF:  cleanGIF,
	WebP: cleanWebP,
	WAV:  cleanWAV,
	HEIC: cleanBMFF,
	AVIF: cleanBMFF,
	MP4:  cleanBMFF,
	MOV:  cleanBMFF,
	M4A:  cleanBMFF,
	WebM: cleanWebM,
	MP3:  cleanMP3,
	FLAC: cleanFLAC,
	Ogg:  cleanOgg,
}

// Known reports whether the metadata of a type can be removed.
func Known(t Type) bool { return t == PDF || cleaners[t] != nil }

func damaged(what string) error { return fmt.Errorf("%w: %s", ErrDamaged, what) }
