package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif" // to decode it
	"image/jpeg"
	"image/png"
	"io"

	_ "golang.org/x/image/bmp" // to decode it
	scaling "golang.org/x/image/draw"
	_ "golang.org/x/image/tiff" // to decode it
	_ "golang.org/x/image/webp" // to decode it
)

const (
	// MaxPixels bounds a picture that is decoded.
	MaxPixels = 64 << 20
	// MaxThumbnail is the length of the longest thumbnail in bytes.
	MaxThumbnail = 12 << 10
	// ThumbnailSide and ScaledSide are the longer sides in pixels.
	ThumbnailSide = 320
	ScaledSide    = 2048
)

// ErrTooLarge is the error for a picture of more than [MaxPixels].
var ErrTooLarge = errors.New("media: the picture has too many pixels")

// A Picture is one that was decoded and turned upright.
type Picture struct{ img image.Image }

// Decode reads a picture of JPEG, PNG, GIF (its first frame), WebP, BMP or
// TIFF. Others, HEIC and AVIF among them, are [ErrUnknown].
func Decode(src io.ReaderAt, size int64) (p Picture, err error) {
	read := func() io.Reader { return io.NewSectionReader(src, 0, size) }
	c, format, err := image.DecodeConfig(read())
	if errors.Is(err, image.ErrFormat) {
		return p, ErrUnknown
	} else if err != nil {
		return p, damaged("it can't be decoded")
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > MaxPixels/c.Height {
		return p, ErrTooLarge
	}
	defer func() {
		// The decoders of BMP and TIFF aren't ours to trust.
		if recover() != nil {
			err = damaged("it can't be decoded")
		}
	}()
	img, _, err := image.Decode(read())
	if err != nil {
		return p, damaged("it can't be decoded")
	}
	turn := uint16(1)
	if format != "bmp" && format != "tiff" && format != "gif" {
		turn = turned(src, size)
	}
	return Picture{upright(img, turn)}, nil
}

// turned finds the orientation that Clean would keep.
func turned(src io.ReaderAt, size int64) uint16 {
	c, err := cleanWith(src, size, nil)
	if err != nil {
		return 1
	}
	for _, x := range c.plan.pieces {
		if i := bytes.Index(x.own, []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12")); i >= 0 {
			return orientation(x.own[i:])
		}
	}
	return 1
}

// upright turns and mirrors by an Exif orientation.
func upright(img image.Image, turn uint16) image.Image {
	if turn < 2 || turn > 8 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if turn >= 5 {
		w, h = h, w
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			sx, sy := x, y
			switch turn {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, w-1-x
			case 7:
				sx, sy = h-1-y, w-1-x
			case 8:
				sx, sy = h-1-y, x
			}
			out.Set(x, y, img.At(b.Min.X+sx, b.Min.Y+sy))
		}
	}
	return out
}

// Size is the picture's width and height in pixels.
func (p Picture) Size() (w, h int) { return p.img.Bounds().Dx(), p.img.Bounds().Dy() }

// scaled makes the longer side at most so long.
func (p Picture) scaled(side int) image.Image {
	w, h := p.Size()
	if w <= side && h <= side {
		return p.img
	}
	if w >= h {
		w, h = side, max(1, h*side/w)
	} else {
		w, h = max(1, w*side/h), side
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	scaling.ApproxBiLinear.Scale(out, out.Bounds(), p.img, p.img.Bounds(), draw.Src, nil)
	return out
}

// opaque lays a picture on white.
func opaque(img image.Image) image.Image {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return img
	}
	out := image.NewRGBA(img.Bounds())
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Over)
	return out
}

// Thumbnail is a small JPEG picture of at most [MaxThumbnail] bytes.
func (p Picture) Thumbnail() ([]byte, error) { return p.Small(MaxThumbnail) }

// Small is a JPEG picture with sides of at most [ThumbnailSide], and of at most
// so many bytes.
func (p Picture) Small(most int) ([]byte, error) {
	for side := ThumbnailSide; side >= 16; side = side * 3 / 4 {
		small := opaque(p.scaled(side))
		for _, quality := range []int{70, 45} {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: quality}); err != nil {
				return nil, fmt.Errorf("media: encoding a thumbnail: %w", err)
			}
			if b.Len() <= most {
				return b.Bytes(), nil
			}
		}
	}
	return nil, ErrTooLarge
}

// Scaled is the picture with its longer side at most [ScaledSide]: JPEG, or PNG
// where it is transparent.
func (p Picture) Scaled() ([]byte, Type, error) { return encode(p.scaled(ScaledSide)) }

// Encoded is the picture in its own size, for formats whose metadata can't be
// removed: PNG, which loses nothing.
func (p Picture) Encoded() ([]byte, Type, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, p.img); err != nil {
		return nil, "", fmt.Errorf("media: encoding: %w", err)
	}
	return b.Bytes(), PNG, nil
}

func encode(img image.Image) ([]byte, Type, error) {
	var b bytes.Buffer
	if o, ok := img.(interface{ Opaque() bool }); ok && !o.Opaque() {
		if err := png.Encode(&b, img); err != nil {
			return nil, "", fmt.Errorf("media: encoding: %w", err)
		}
		return b.Bytes(), PNG, nil
	}
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		return nil, "", fmt.Errorf("media: encoding: %w", err)
	}
	return b.Bytes(), JPEG, nil
}
