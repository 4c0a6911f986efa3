package main

import (
	"io"
	"os"
	"strings"

	"rsc.io/qr"

	"rushlight/node/api"
)

// quiet is the width of the light margin that readers of QR codes need.
const quiet = 4

// qrText draws a link as a QR code, two modules in one character. The link is
// written in upper case, for which QR has a shorter encoding. On a terminal
// the colours are set, so that it is dark on light on every one.
func qrText(link string, colours bool) (string, error) {
	code, err := qr.Encode(strings.ToUpper(link), qr.L)
	if err != nil {
		return "", api.Errorf(api.CodeUsage, "the link is too long for a QR code")
	}
	dark := func(x, y int) bool {
		x, y = x-quiet, y-quiet
		return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y)
	}
	var b strings.Builder
	for y := 0; y < code.Size+2*quiet; y += 2 {
		if colours {
			b.WriteString("\x1b[38;5;231;48;5;16m") // light ink on dark paper
		}
		for x := range code.Size + 2*quiet {
			// What is inked is light: a terminal is dark if it has no colours.
			switch up, low := dark(x, y), dark(x, y+1) && y+1 < code.Size+2*quiet; {
			case up && low:
				b.WriteByte(' ')
			case up:
				b.WriteString("▄")
			case low:
				b.WriteString("▀")
			default:
				b.WriteString("█")
			}
		}
		if colours {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// colourful reports whether w may be given colours.
func colourful(w io.Writer) bool {
	_, ok := terminal(w)
	return ok && os.Getenv("NO_COLOR") == ""
}
