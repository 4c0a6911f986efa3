package identity

import (
	"crypto/sha256"
	"strings"

	"rushlight/protocol/wire"
)

const (
	inviteScheme = "rushlight:"
	inviteSumLen = 4
	// maxInviteText is more than the longest invite needs.
	maxInviteText = 4096
)

// inviteSum is the first 4 bytes of SHA-256 of everything before it. It finds
// copying errors; it authenticates nothing, so it has no label (spec §4.1).
func inviteSum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:inviteSumLen]
}

// inviteText strips the scheme from a link and returns the rest in lower case.
func inviteText(s string) (string, error) {
	if len(s) > maxInviteText {
		return "", ErrInviteAltered
	}
	const lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if strings.ContainsAny(s, lower) && strings.ContainsAny(s, upper) {
		return "", ErrInviteAltered
	}
	low := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
	text, ok := strings.CutPrefix(low, inviteScheme)
	switch {
	case ok:
		return text, nil
	case strings.HasPrefix(inviteScheme, low):
		return "", ErrInviteTruncated
	}
	return "", ErrInviteAltered
}

// decodeInviteText decodes as much of a link as is whole bytes, and reports
// whether that was all of it: a link cut anywhere still shows its beginning.
func decodeInviteText(text string) (b []byte, whole bool, err error) {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return nil, false, ErrInviteAltered
	}
	for n := len(text); n >= 0; n-- {
		if b, err := wire.DecodeText(text[:n]); err == nil {
			return b, n == len(text), nil
		}
	}
	return nil, false, ErrInviteAltered
}

// inviteSpan returns how long the invite that starts with b has to be, as far
// as the counts and lengths in b tell: more than len(b) means it was cut off.
func inviteSpan(b []byte) int {
	at := 1 + 1 + 32 + 16 + 32 + 4
	count := func() int { // the byte at the position, which is passed
		at++
		if at > len(b) {
			return 0
		}
		return int(b[at-1])
	}
	uses := count()
	at += 32 * uses
	for n := count(); n > 0; n-- {
		peer := count()
		at += peer
		addr := count()
		at += addr
	}
	for n := count(); n > 0; n-- {
		at += 32
		addr := count()
		at += addr + 32 + 45
	}
	return at + inviteSumLen
}
