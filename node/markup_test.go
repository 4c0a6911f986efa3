package node

import (
	"fmt"
	"strings"
	"testing"

	"rushlight/protocol/message"
)

func TestMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                    "plain []",
		"**bold** and *it*":        "bold and it [0+4:1 9+2:2]",
		"*a **b** c*":              "a b c [0+5:2 2+1:1]",
		"~~no~~ ||who?||":          "no who? [0+2:3 3+4:5]",
		"`**code**`":               "**code** [0+8:4]",
		"a * b * c":                "a * b * c []",
		"2*3 and 4*5":              "23 and 45 [1+7:2]",
		"_*twice*_":                "twice [0+5:2]",
		"_*a* b_":                  "a b [0+1:2 0+3:2]",
		"snake_case_name":          "snake_case_name []",
		"_under_":                  "under [0+5:2]",
		`\\*not\\*`:                `*not* []`,
		"**open":                   "**open []",
		"**":                       "** []",
		"****":                     "**** []",
		"*ü*":                      "ü [0+2:2]",
		"**crossed *over** there*": "**crossed *over** there* []",
	} {
		in = strings.ReplaceAll(in, `\\`, `\`)
		text, styles := markdown(in)
		var got []string
		for _, s := range styles {
			got = append(got, fmt.Sprintf("%d+%d:%d", s.Start, s.Length, s.Kind))
		}
		if have := fmt.Sprintf("%s %v", text, got); have != want {
			t.Errorf("%q gives %q instead of %q", in, have, want)
		}
	}
}

// Whatever is written can be sent.
func FuzzMarkdown(f *testing.F) {
	f.Add("**a** _b_ `c` ||d|| ~~e~~ \\*f*")
	f.Add("_*0*_")
	f.Fuzz(func(t *testing.T, in string) {
		text, styles := markdown(in)
		if text == "" || strings.ToValidUTF8(in, "") != in || len(text) > message.MaxText {
			return
		}
		b := message.Body{Type: message.TypeText, Text: text, Styles: styles}
		if _, err := b.Marshal(); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
	})
}
