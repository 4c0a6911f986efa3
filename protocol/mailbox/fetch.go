package mailbox

import (
	"rushlight/protocol/envelope"
	"rushlight/protocol/wire"
)

// Fetch asks for what came after a number; Env frames and one End answer it
// (spec §12.5).
type Fetch struct {
	After    uint64
	MaxBytes uint32 // of envelopes; the first is sent even if it is longer
	Wait     uint16 // seconds to wait when there is nothing, at most MaxWait
}

// Append encodes the frame behind dst.
func (f *Fetch) Append(dst []byte) []byte {
	return frame(dst, TypeFetch, func(w *wire.Writer) { w.U64(f.After).U32(f.MaxBytes).U16(f.Wait) })
}

// ParseFetch reads the body of a frame.
func ParseFetch(b []byte) (f Fetch, err error) {
	r := wire.NewReader(b)
	f = Fetch{After: r.U64(), MaxBytes: r.U32(), Wait: r.U16()}
	if f.Wait > MaxWait {
		r.Fail("too long a wait")
	}
	return f, done("fetch", r)
}

// Env is one envelope of the log.
type Env struct {
	Seq      uint64
	Day      uint16 // on which it came
	Lane     bool   // it came through the request lane
	Envelope []byte
}

const envHead = 8 + 2 + 1

// Append encodes the frame behind dst.
func (e *Env) Append(dst []byte) []byte {
	return frame(dst, TypeEnv, func(w *wire.Writer) {
		w.U64(e.Seq).U16(e.Day).Bool(e.Lane).Raw(e.Envelope)
	})
}

// ParseEnv reads the body of a frame. The envelope aliases it.
func ParseEnv(b []byte) (e Env, err error) {
	r := wire.NewReader(b)
	e = Env{Seq: r.U64(), Day: r.U16(), Lane: r.Bool()}
	e.Envelope = envelopeOf(r, envelope.L)
	return e, done("env", r)
}

// End ends the answer to Fetch.
type End struct {
	Next  uint64 // to ask for what comes after
	Batch uint64 // everything up to this commit stands before Next, unless More
	More  bool   // there is more now
}

// Append encodes the frame behind dst.
func (e *End) Append(dst []byte) []byte {
	return frame(dst, TypeEnd, func(w *wire.Writer) { w.U64(e.Next).U64(e.Batch).Bool(e.More) })
}

// ParseEnd reads the body of a frame.
func ParseEnd(b []byte) (e End, err error) {
	r := wire.NewReader(b)
	e = End{Next: r.U64(), Batch: r.U64(), More: r.Bool()}
	return e, done("end", r)
}

// IDs asks for the tags of what came after a number; Tags answers it.
type IDs struct {
	After uint64
	Max   uint16 // 1 to MaxTags
}

// Append encodes the frame behind dst.
func (q *IDs) Append(dst []byte) []byte {
	return frame(dst, TypeIDs, func(w *wire.Writer) { w.U64(q.After).U16(q.Max) })
}

// ParseIDs reads the body of a frame.
func ParseIDs(b []byte) (q IDs, err error) {
	r := wire.NewReader(b)
	q = IDs{After: r.U64(), Max: r.U16()}
	if q.Max == 0 || q.Max > MaxTags {
		r.Fail("count out of range")
	}
	return q, done("ids", r)
}

// Tag is the tag of one envelope of the log.
type Tag struct {
	Seq uint64
	Tag [16]byte
}

// Tags are tags in ascending order of number.
type Tags struct {
	Next uint64
	More bool
	Tags []Tag
}

// Append encodes the frame behind dst.
func (t *Tags) Append(dst []byte) []byte {
	return frame(dst, TypeTags, func(w *wire.Writer) {
		w.U64(t.Next).Bool(t.More)
		for i := range t.Tags {
			w.U64(t.Tags[i].Seq).Raw(t.Tags[i].Tag[:])
		}
	})
}

// ParseTags reads the body of a frame.
func ParseTags(b []byte) (t Tags, err error) {
	r := wire.NewReader(b)
	t = Tags{Next: r.U64(), More: r.Bool()}
	n := r.Len() / 24
	if n > MaxTags {
		r.Fail("too many tags")
		n = 0
	}
	t.Tags = make([]Tag, n)
	for i := range t.Tags {
		t.Tags[i] = Tag{Seq: r.U64(), Tag: r.A16()}
		if i > 0 && t.Tags[i].Seq <= t.Tags[i-1].Seq {
			r.Fail("tags out of order")
		}
	}
	return t, done("tags", r)
}
