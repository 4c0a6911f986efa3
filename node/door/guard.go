package door

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"rushlight/node/api"
)

// policy is what the page may load: its own files, pictures and sound that it
// made itself, and nothing that is text to begin with.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; " +
	"media-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// headers go with every answer.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Embedder-Policy": "require-corp",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
}

// guard lets through what comes from the page itself or from no browser at all.
//   - A name that some server makes point here would be an origin of that
//     server's: so the host must be the address of the listener, as an address.
//   - Another page must not make this one's requests, nor open it: so what a
//     browser says comes from elsewhere is refused, whatever the method.
func (d *Door) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range headers {
			w.Header().Set(k, v)
		}
		switch {
		case !d.isHere(r.Host):
			refuse(w, http.StatusMisdirectedRequest, api.Errorf(api.CodeNotAllowed, "this is not the address of the page"))
		case cross.Check(r) != nil, !fromHere(r):
			refuse(w, http.StatusForbidden, api.Errorf(api.CodeNotAllowed, "another page asked for this"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isHere reads a Host header as an address, in its one spelling, and compares it
// with the listener's.
func (d *Door) isHere(host string) bool {
	at, err := netip.ParseAddrPort(host)
	if err != nil {
		ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if err != nil {
			return false
		}
		at = netip.AddrPortFrom(ip, 80)
	}
	return at == d.addr && (host == at.String() || at.Port() == 80)
}

// fromHere tells whether a browser made the request for the page itself, or for
// a person who typed or opened the address.
func fromHere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return false
}

// refuse answers with an error of the interface.
func refuse(w http.ResponseWriter, status int, e *api.Error) {
	answer(w, status, struct {
		Error *api.Error `json:"error"`
	}{e})
}

// answer writes a JSON value.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer can't be written","hint":""}}`)
	}
	write(w, status, b)
}

func write(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}
