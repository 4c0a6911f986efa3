package api

import (
	"strconv"
	"strings"
	"time"
)

// maxDuration bounds what ParseDuration accepts: a hundred years.
const maxDuration = 100 * 366 * 24 * time.Hour

var errBadDuration = &Error{
	Code:    CodeUsage,
	Message: "that is not a duration",
	Hint:    "write it like 30s, 5m, 12h, 7d or 2w",
}

// ParseDuration reads a Go duration, in which the units d (24 hours) and w
// (7 days) may be used too: "7d", "1w2d12h30m". Negative ones are refused.
// Errors are CodeUsage.
func ParseDuration(s string) (time.Duration, error) {
	// Days and weeks are taken off the front; the rest is Go's.
	rest, sum, some := s, 0.0, false
	for {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			break
		}
		unit := 24 * time.Hour
		if rest[i] == 'w' {
			unit *= 7
		} else if rest[i] != 'd' {
			break
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil {
			return 0, errBadDuration
		}
		sum += n * float64(unit)
		rest, some = rest[i+1:], true
		if sum > float64(maxDuration) {
			return 0, errBadDuration
		}
	}
	d := time.Duration(sum)
	if rest != "" || !some {
		g, err := time.ParseDuration(rest)
		if err != nil || g < 0 || g > maxDuration || strings.HasPrefix(rest, "+") {
			return 0, errBadDuration
		}
		d += g
	}
	if d > maxDuration {
		return 0, errBadDuration
	}
	return d, nil
}

// FormatDuration writes d so that [ParseDuration] reads it back, in the largest
// units that fit: "7d", "1h30m", "30s".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if days := d / (24 * time.Hour); days > 0 {
		b.WriteString(strconv.FormatInt(int64(days), 10))
		b.WriteByte('d')
		d %= 24 * time.Hour
	}
	if d == 0 {
		return b.String()
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	b.WriteString(s)
	return b.String()
}
