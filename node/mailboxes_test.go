package node

import (
	"strings"
	"testing"

	"rushlight/storage/record"
)

// TestWhyBad: whose relay has died is told what to do.
func TestWhyBad(t *testing.T) {
	for want, r := range map[string]record.Relay{
		"not answered for a day": {Down: true},
		"signed for mail":        {Down: true, Lied: 1},
		"did not come":           {Missed: 3},
	} {
		if got := whyBad(&r); !strings.Contains(got, want) || !strings.Contains(got, "relays add") {
			t.Errorf("%q doesn't say %q and what to do", got, want)
		}
	}
}
