package node

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"rushlight/node/api"
	"rushlight/node/files"
	"rushlight/node/media"
)

// A preparer makes of files what is sent in their place: without metadata,
// pictures scaled and with a thumbnail. One at a time, because a picture that
// is decoded takes memory.
type preparer struct{ one sync.Mutex }

// opaque are types of pictures, films and sound whose metadata can't be taken
// out, and which can't be encoded again either.
func opaque(t media.Type) bool {
	s := string(t)
	return strings.HasPrefix(s, "image/") || strings.HasPrefix(s, "video/") || strings.HasPrefix(s, "audio/")
}

var reencoded = []media.Type{"image/bmp", "image/tiff"}

// prepare is a [files.Prepare].
func (p *preparer) prepare(ctx context.Context, src files.Source) (*files.Prepared, error) {
	head := make([]byte, min(src.Size, 4096))
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	kind := media.Type(files.Kind(head))
	if media.Known(media.Detect(head)) {
		kind = media.Detect(head)
	}
	p.one.Lock()
	defer p.one.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case media.Known(kind):
		return clean(ctx, src)
	case slices.Contains(reencoded, kind):
		pic, err := media.Decode(src, src.Size)
		if err != nil {
			return nil, unprepared(err)
		}
		b, as, err := pic.Encoded()
		if err != nil {
			return nil, err
		}
		return picture(src, pic, b, as, files.Encoded)
	case opaque(kind):
		return nil, unprepared(media.ErrUnknown)
	case kind == "application/octet-stream" && shows(src.Name):
		return nil, unprepared(media.ErrDamaged)
	}
	return &files.Prepared{Content: io.NewSectionReader(src, 0, src.Size), Change: files.Unchanged, Size: src.Size}, nil
}

// clean takes the metadata out, and scales a large picture.
func clean(ctx context.Context, src files.Source) (*files.Prepared, error) {
	c, err := media.Clean(ctx, src, src.Size)
	if err != nil {
		return nil, unprepared(err)
	}
	pic, err := media.Decode(src, src.Size)
	switch {
	case errors.Is(err, media.ErrUnknown), errors.Is(err, media.ErrTooLarge):
		// No picture, or one that isn't shown before it is opened.
	case err != nil:
		return nil, unprepared(err)
	default:
		w, h := pic.Size()
		if max(w, h) > media.ScaledSide && !src.Full && c.Type != media.GIF {
			b, as, err := pic.Scaled()
			if err != nil {
				return nil, err
			}
			if int64(len(b)) < c.Size() {
				return picture(src, pic, b, as, files.Scaled)
			}
		}
	}
	out := &files.Prepared{Name: neutral(src.Name, c.Type), Content: c.Reader(), Change: files.Cleaned, Size: c.Size(), Thumbnail: src.Thumbnail}
	if err == nil {
		if out.Thumbnail, err = pic.Thumbnail(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// picture is one that was encoded anew.
func picture(src files.Source, pic media.Picture, b []byte, as media.Type, how files.Change) (*files.Prepared, error) {
	small, err := pic.Thumbnail()
	if err != nil {
		return nil, err
	}
	name := neutral(src.Name, as)
	if name == "" {
		name = strings.TrimSuffix(src.Name, filepath.Ext(src.Name)) + ending[as]
	}
	return &files.Prepared{Name: name, Content: bytes.NewReader(b), Thumbnail: small, Change: how, Size: int64(len(b))}, nil
}

// thumbnail is a small picture of one that is sent as it is; else the one that
// came with it.
func (p *preparer) thumbnail(src files.Source) ([]byte, error) {
	p.one.Lock()
	defer p.one.Unlock()
	pic, err := media.Decode(src, src.Size)
	if err != nil {
		return src.Thumbnail, nil
	}
	return pic.Thumbnail()
}

// shrunk makes a thumbnail anew that came with a file, with nothing in it but
// what is seen.
func (p *preparer) shrunk(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	p.one.Lock()
	defer p.one.Unlock()
	if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err == nil && max(c.Width, c.Height) <= media.ScaledSide {
		if pic, err := media.Decode(bytes.NewReader(b), int64(len(b))); err == nil {
			return pic.Thumbnail()
		}
	}
	return nil, api.Errorf(api.CodeUsage, "a thumbnail is not a JPEG picture of at most %d pixels a side", media.ScaledSide)
}

var ending = map[media.Type]string{
	media.JPEG: ".jpg", media.PNG: ".png", media.GIF: ".gif", media.WebP: ".webp", media.HEIC: ".heic", media.AVIF: ".avif",
	media.MP4: ".mp4", media.MOV: ".mov", media.M4A: ".m4a", media.WebM: ".webm",
}

// shows tells whether a name is that of a picture, film, sound or document whose
// metadata can be taken out.
func shows(name string) bool {
	end := strings.ToLower(filepath.Ext(name))
	return end == ".jpeg" || end == ".heif" || end != "" && slices.Contains(slices.Collect(maps.Values(ending)), end)
}

// fromCamera are names that cameras and phones give: they tell the maker, how
// many pictures were taken, and often when.
var fromCamera = regexp.MustCompile(`(?i)^(img|dsc|dscf|dscn|pxl|vid|mvi|mov|gopr|dji|screenshot|photo|signal|whatsapp)[-_ ]?.*\d|\d{6}`)

// neutral is a name that tells nothing, for one that a camera gave; empty when
// the name is somebody's choice.
func neutral(name string, t media.Type) string {
	if ending[t] == "" || !fromCamera.MatchString(name) {
		return ""
	}
	switch kind, _, _ := strings.Cut(string(t), "/"); kind {
	case "image":
		return "picture" + ending[t]
	case "video":
		return "film" + ending[t]
	}
	return "sound" + ending[t]
}

// unprepared says why a file isn't sent as it is.
func unprepared(err error) error {
	const hint = "with --original it is sent as it is, with all it tells of who made it, where and when"
	switch {
	case errors.Is(err, media.ErrDamaged):
		return api.Errorf(api.CodeFalseFile, "the file is damaged, or isn't what it looks like").WithHint(hint)
	case errors.Is(err, media.ErrTooLarge):
		return api.Errorf(api.CodeFalseFile, "the picture has too many pixels").WithHint(hint)
	case errors.Is(err, media.ErrUnknown):
		return api.Errorf(api.CodeFalseFile, "what this kind of file tells of who made it can't be removed").WithHint(hint)
	}
	return err
}

// keptBy lists what a file tells of who made it that is sent as it is.
func keptBy(ctx context.Context, src files.Source) (out []string, err error) {
	all, err := media.Traces(ctx, src, src.Size)
	for _, t := range all {
		out = append(out, string(t))
	}
	head := make([]byte, min(src.Size, 4096))
	if _, err := src.ReadAt(head, 0); err == nil || errors.Is(err, io.EOF) {
		if neutral(src.Name, media.Detect(head)) != "" {
			out = append(out, "name") // the camera's
		}
	}
	return out, err
}
