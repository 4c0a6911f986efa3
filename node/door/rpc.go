package door

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"rushlight/node/api"
)

// Limits of one request.
const (
	maxBody   = 1 << 20
	bodyTime  = 20 * time.Second
	writeTime = 30 * time.Second
)

var (
	errToken = api.Errorf(api.CodeNotAllowed, "a token is missing, or isn't good any more").
			WithHint("make a link to the page with 'rushlight page', or a token with 'rushlight token create'")
	errCode = api.Errorf(api.CodeNotAllowed, "the link was used already, or is older than a minute").
		WithHint("make a new one with: rushlight page")
	errType = api.Errorf(api.CodeUsage, "the request is not JSON").WithHint("Content-Type: application/json")
	errBody = api.Errorf(api.CodeUsage, "the request is too large")
)

// bearer finds the token of a request; it answers itself when there is none.
func (d *Door) bearer(w http.ResponseWriter, r *http.Request) *Session {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if s := d.Tokens.Session(token); s != nil && strings.EqualFold(scheme, "Bearer") {
		return s
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	refuse(w, http.StatusUnauthorized, errToken)
	return nil
}

// body reads the JSON of a request; it answers itself when there is none. A
// form can't have this type, so no form of another page gets here.
func body(w http.ResponseWriter, r *http.Request, most int64) []byte {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, errType)
		return nil
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime)) // the connection is then as slow as it is
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			refuse(w, http.StatusRequestEntityTooLarge, errBody)
		} else {
			refuse(w, http.StatusBadRequest, errType)
		}
		return nil
	}
	_ = c.SetReadDeadline(time.Time{})
	return b
}

func (d *Door) rpc(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	b := body(w, r, maxBody)
	if b == nil {
		return
	}
	out := d.Server.Answer(r.Context(), b, s.Grant)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	if len(out) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write(w, http.StatusOK, out)
}

func (d *Door) openSession(w http.ResponseWriter, r *http.Request) {
	b := body(w, r, 1024)
	if b == nil {
		return
	}
	var p struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(b, &p) != nil {
		refuse(w, http.StatusBadRequest, errType)
		return
	}
	token, err := d.Tokens.Exchange(p.Code)
	switch {
	case errors.Is(err, ErrCode):
		refuse(w, http.StatusUnauthorized, errCode)
	case err != nil:
		d.Logger.Error("keeping the page's token", "err", err)
		refuse(w, http.StatusInternalServerError, api.AsError(err))
	default:
		answer(w, http.StatusOK, struct {
			Token string `json:"token"`
		}{token})
	}
}

func (d *Door) closeSession(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	if err := d.Tokens.Revoke(s.ID); err != nil {
		refuse(w, http.StatusInternalServerError, api.AsError(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Door) check(w http.ResponseWriter, r *http.Request) {
	s := d.bearer(w, r)
	if s == nil {
		return
	}
	report, err := d.Server.Check(r.Context(), s.Grant)
	if err != nil {
		refuse(w, statusOf(api.AsError(err)), api.AsError(err))
		return
	}
	answer(w, http.StatusOK, report)
}

// openrpc says what there is to call, to anybody.
func (d *Door) openrpc(w http.ResponseWriter, _ *http.Request) {
	b, err := d.Server.OpenRPC()
	if err != nil {
		refuse(w, http.StatusInternalServerError, api.AsError(err))
		return
	}
	write(w, http.StatusOK, b)
}

// statusOf is the HTTP status of an error.
func statusOf(e *api.Error) int {
	switch e.Code {
	case api.CodeUsage:
		return http.StatusBadRequest
	case api.CodeNotAllowed:
		return http.StatusForbidden
	case api.CodeUnknownMessage, api.CodeNoFile:
		return http.StatusNotFound
	case api.CodeNotHere:
		return http.StatusConflict
	case api.CodeBusy:
		return http.StatusTooManyRequests
	case api.CodeDiskFull:
		return http.StatusInsufficientStorage
	case api.CodeGone:
		return http.StatusGone
	case api.CodeLocked:
		return http.StatusLocked
	case api.CodeShuttingDown:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
