package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// photo makes a picture, so many pixels wide, as a camera would: photo FILE WIDTH.
func photo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: photo FILE WIDTH")
	}
	wide, err := strconv.Atoi(args[1])
	ts.Check(err)
	m := image.NewGray(image.Rect(0, 0, wide, 50))
	for x := range wide {
		m.Set(x, 7, color.White)
	}
	var b bytes.Buffer
	ts.Check(jpeg.Encode(&b, m, nil))
	// Exif with the maker of the camera: one entry of 12 characters at 26.
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x0f\x00\x02\x00\x00\x00\x0c\x00\x00\x00\x1a\x00\x00\x00\x00CanaryMaker\x00"
	out := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(2 + len(exif))}, exif...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(out, b.Bytes()[2:]...), 0o600))
}

// width checks how wide a picture is: width FILE WIDTH.
func width(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: width FILE WIDTH")
	}
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { _ = f.Close() }()
	c, err := jpeg.DecodeConfig(f)
	ts.Check(err)
	if got := strconv.Itoa(c.Width); got != args[1] {
		ts.Fatalf("%s is %s pixels wide", args[0], got)
	}
}
