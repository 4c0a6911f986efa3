package record

import (
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// FileWish is what a person wants of a file of a message.
type FileWish uint8

// The wishes.
const (
	FileAuto   FileWish = 0 // nothing was said
	FileWanted FileWish = 1 // fetch it, however large it is
	FileLeft   FileWish = 2 // don't fetch it
)

// Files are the wishes for the files of a message, one for each. They are
// sealed under the message's leaf. What there is of a file is not noted here.
type Files struct{ Wishes []FileWish }

// FilesKey is the key of the files of one message.
func FilesKey(id message.ID) storage.Key { return key(FamilyFiles, id[:]) }

// FilesPrefix is the prefix of all files.
func FilesPrefix() storage.Key { return key(FamilyFiles) }

// Marshal encodes f.
func (f *Files) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U8(uint8(len(f.Wishes)))
	for _, x := range f.Wishes {
		w.U8(uint8(x))
	}
	return w.Out()
}

// ParseFiles decodes [Files].
func ParseFiles(b []byte) (*Files, error) {
	r := wire.NewReader(b)
	version(r)
	f := &Files{}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		x := FileWish(r.U8())
		if x > FileLeft {
			r.Fail("unknown wish")
		}
		f.Wishes = append(f.Wishes, x)
	}
	return f, r.Close()
}
