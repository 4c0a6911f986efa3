package api

import (
	"strings"
	"testing"
)

// A QR code is as large as its version says, with a finder in its corner.
func TestQR(t *testing.T) {
	c := &conn{Server: &Server{}}
	v, err := c.qr(t.Context(), []byte(`{"text":"RUSHLIGHT"}`))
	if err != nil {
		t.Fatal(err)
	}
	rows := v.(QR).Rows
	if len(rows) != 21 || rows[0][:8] != "11111110" || rows[1][:8] != "10000010" {
		t.Errorf("rows: %q", rows)
	}
	for _, bad := range []string{`{}`, `{"text":""}`, `{"text":"` + strings.Repeat("x", maxQR+1) + `"}`, `{"txt":"a"}`} {
		if _, err := c.qr(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%.20s: no error", bad)
		}
	}
}

// The recovery code is there until it was confirmed.
func TestRecovery(t *testing.T) {
	code := "abcd-efgh"
	c := &conn{Server: &Server{Recovery: func(confirmed bool) string {
		was := code
		if confirmed {
			code = ""
		}
		return was
	}}}
	for _, want := range []struct{ params, code string }{{`{}`, "abcd-efgh"}, {`{}`, "abcd-efgh"}, {`{"confirmed":true}`, ""}} {
		v, err := c.recovery(t.Context(), []byte(want.params))
		if err != nil || v.(Recovery).Code != want.code {
			t.Errorf("%s: %v, %v", want.params, v, err)
		}
	}
	if _, err := c.recovery(t.Context(), []byte(`{}`)); err == nil {
		t.Error("it is still there")
	}
}
