package api

import (
	"bytes"
	"context"
	"image"
	_ "image/jpeg" // what readQR reads
	_ "image/png"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"rsc.io/qr"
)

// Limits of QR codes and of pictures of them.
const (
	maxQR        = 2048      // bytes of what is drawn
	maxQRSide    = 4096      // pixels of a picture that is read
	maxQRPixels  = 4_000_000 // of it
	maxQRPicture = 384 << 10 // bytes of it: as many as a request holds in base64
)

// QR is a QR code: a string of 0 and 1 a row, 1 is dark, without a margin.
type QR struct {
	Rows List[string] `json:"rows"`
}

type qrParams struct {
	Text string `json:"text"`
}

func (c *conn) qr(_ context.Context, params []byte) (any, error) {
	var p qrParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if p.Text == "" || len(p.Text) > maxQR {
		return nil, Errorf(CodeUsage, "a QR code holds 1 to %d bytes", maxQR)
	}
	code, err := qr.Encode(p.Text, qr.L)
	if err != nil {
		return nil, Errorf(CodeUsage, "the text is too long for a QR code")
	}
	var out QR
	for y := range code.Size {
		row := make([]byte, code.Size)
		for x := range row {
			if row[x] = '0'; code.Black(x, y) {
				row[x] = '1'
			}
		}
		out.Rows = append(out.Rows, string(row))
	}
	return out, nil
}

type readQRParams struct {
	Image []byte `json:"image" rpc:"required"` // PNG or JPEG
}

type readQRResult struct {
	Text string `json:"text"`
}

var (
	errNoPicture = Errorf(CodeUsage, "that is not a picture that can be read").WithHint("PNG or JPEG, at most 384 KiB and 4 million pixels")
	errNoQR      = Errorf(CodeUsage, "there is no QR code to be read in that picture").WithHint("take one in which the code is sharp, whole and larger")
)

func (c *conn) readQR(_ context.Context, params []byte) (any, error) {
	var p readQRParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	c.reading.Lock() // one at a time, as each may take much memory
	defer c.reading.Unlock()
	text, err := readQR(p.Image)
	return readQRResult{text}, err
}

// readQR reads the QR code in a picture.
func readQR(picture []byte) (text string, err error) {
	if len(picture) > maxQRPicture {
		return "", errNoPicture
	}
	about, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil || min(about.Width, about.Height) < 1 || max(about.Width, about.Height) > maxQRSide || about.Width*about.Height > maxQRPixels {
		return "", errNoPicture
	}
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return "", errNoPicture
	}
	source := gozxing.NewLuminanceSourceFromImage(img)
	for _, s := range []gozxing.LuminanceSource{source, source.Invert()} {
		for _, b := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(s), gozxing.NewGlobalHistgramBinarizer(s)} {
			if text, ok := findQR(b); ok {
				return text, nil
			}
		}
	}
	return "", errNoQR
}

// findQR looks for a code among black and white pixels. The library is made for
// the pictures of a camera, not for those of an adversary: where it fails in a
// way of its own, there is no code.
func findQR(b gozxing.Binarizer) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	bits, err := gozxing.NewBinaryBitmap(b)
	if err != nil {
		return "", false
	}
	r, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return "", false
	}
	text = r.GetText()
	return text, text != "" && utf8.ValidString(text)
}
