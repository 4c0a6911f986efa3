package message

import "time"

// MaxAhead is how far in the future a claimed time may lie before it no longer
// counts (spec §9.4).
const MaxAhead = 2 * time.Minute

// Agreement is how far apart two clocks may be that agree.
const Agreement = 10 * time.Minute

// counterBits is the width of the counter of a hybrid logical clock.
const counterBits = 16

// ClockOf returns the hybrid logical time of an instant: milliseconds since
// 1970 <<16, counter 0.
func ClockOf(now time.Time) uint64 {
	return uint64(max(0, now.UnixMilli())) << counterBits
}

// ClockTime returns the instant of a hybrid logical time, to the millisecond.
func ClockTime(hlc uint64) time.Time {
	return time.UnixMilli(int64(hlc >> counterBits)).UTC()
}

// Tick returns the time for the next own message: now, or just after last when
// the wall clock is behind it (spec §9.4).
func Tick(last uint64, now time.Time) uint64 { return max(last+1, ClockOf(now)) }

// Order returns where a message is placed: what it claims, unless that is more
// than [MaxAhead] after now, the time of receipt, which then replaces it; and
// always after its parents, whose highest order is parents (spec §9.4).
func Order(claimed, parents uint64, now time.Time) uint64 {
	if claimed > ClockOf(now.Add(MaxAhead)) {
		claimed = ClockOf(now)
	}
	return max(claimed, parents+1)
}
