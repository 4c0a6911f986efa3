package api

import (
	"context"
	"errors"
	"fmt"
)

// Error is a failure that people and programs can tell apart. Message says
// what went wrong, in one line without a full stop; Hint, which may be empty,
// says what to do about it. Neither holds names, ids, addresses or text.
type Error struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Hint    string  `json:"hint"`
	First   *uint64 `json:"first,omitempty"` // CodeGone: the oldest event still in the log
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is makes errors.Is compare codes, so that errors.Is(err, &Error{Code: c})
// finds an Error of that code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Codes of [Error]. They are part of the interface: none is renamed.
const (
	CodeUsage            = "usage"             // flags or parameters make no sense
	CodeEmptyText        = "empty_text"        //
	CodeTextTooLong      = "text_too_long"     // over MaxText
	CodeNotText          = "not_text"          // not UTF-8
	CodeUnknownContact   = "unknown_contact"   //
	CodeAmbiguousContact = "ambiguous_contact" // several contacts match
	CodeMistypedID       = "mistyped_id"       // checksum of an account id is wrong
	CodeUnknownMessage   = "unknown_message"   //
	CodeUnknownToken     = "unknown_token"     //
	CodeUnknownMethod    = "unknown_method"    // JSON-RPC only
	CodeNotYours         = "not_yours"         // somebody else wrote the message
	CodeBadDuration      = "bad_duration"      // a timer out of its range
	CodeInviteDamaged    = "invite_damaged"    // altered or truncated link
	CodeInviteOwn        = "invite_own"        // one's own invite
	CodeInviteExpired    = "invite_expired"    //
	CodeInviteUsed       = "invite_used"       //
	CodeNoPassphrase     = "no_passphrase"     // no way to get one
	CodeWrongPassphrase  = "wrong_passphrase"  //
	CodeNoDaemon         = "no_daemon"         //
	CodeTimeout          = "timeout"           //
	CodeNotApproved      = "not_approved"      //
	CodeBlocked          = "blocked"           //
	CodeKeyChanged       = "key_changed"       // a verified contact has a new account key
	CodeNotVerified      = "not_verified"      // the safety number does not match
	CodeNotAllowed       = "not_allowed"       // another user's profile
	CodeFailed           = "failed"            // the message can't be delivered
	CodeDiskFull         = "disk_full"         //
	CodeAlreadyRunning   = "already_running"   // a second daemon on the profile
	CodeCorruptStore     = "corrupt_store"     //
	CodeNewerStore       = "newer_store"       // written by a newer version
	CodeReadOnly         = "read_only"         // the store can't be written
	CodeLocked           = "locked"            // the keys are forgotten until unlock
	CodeBackupDamaged    = "backup_damaged"    // altered, cut short or no backup
	CodeGone             = "gone"              // the event log starts later
	CodeBusy             = "busy"              // too many at once
	CodeShuttingDown     = "shutting_down"     //
	CodeFileTooLarge     = "file_too_large"    // over 1 TiB
	CodeNoFile           = "no_file"           // a file to be sent is not there, or can't be read
	CodeExists           = "exists"            // there is a file of that name, which stays
	CodeNotHere          = "not_here"          // the file has not come yet
	CodeFalseFile        = "false_file"        // it is not what the message says
	CodeNoPreview        = "no_preview"        // there is nothing to show of a link, or it can't be reached
	CodeInternal         = "internal"          // anything unexpected
)

// exitCodes holds every code whose exit code is not 1.
var exitCodes = map[string]int{
	CodeUsage:            2,
	CodeEmptyText:        2,
	CodeTextTooLong:      2,
	CodeFileTooLarge:     2,
	CodeNotText:          2,
	CodeUnknownContact:   2,
	CodeAmbiguousContact: 2,
	CodeMistypedID:       2,
	CodeUnknownMessage:   2,
	CodeUnknownToken:     2,
	CodeUnknownMethod:    2,
	CodeBadDuration:      2,
	CodeInviteDamaged:    2,
	CodeInviteOwn:        2,
	CodeNoPassphrase:     2,
	CodeNoDaemon:         3,
	CodeTimeout:          4,
	CodeWrongPassphrase:  5,
	CodeLocked:           5,
	CodeInviteExpired:    5,
	CodeInviteUsed:       5,
	CodeNotApproved:      5,
	CodeBlocked:          5,
	CodeKeyChanged:       5,
	CodeNotVerified:      5,
	CodeNotAllowed:       5,
	CodeNotYours:         5,
	CodeNoFile:           2,
	CodeExists:           2,
}

// ExitCode gives the process exit code for a code of [Error]: 2 wrong usage,
// 3 no daemon, 4 timed out, 5 refused, 1 anything else.
func ExitCode(code string) int {
	if n, ok := exitCodes[code]; ok {
		return n
	}
	return 1
}

// Errorf makes an Error without a hint.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e with the hint.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// AsError finds the Error in err. A context that ended gives CodeTimeout or
// CodeShuttingDown, anything else CodeInternal with err's own text. It returns
// nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(CodeTimeout, "timed out")
	case errors.Is(err, context.Canceled):
		return Errorf(CodeShuttingDown, "interrupted")
	}
	return Errorf(CodeInternal, "%s", err.Error())
}
