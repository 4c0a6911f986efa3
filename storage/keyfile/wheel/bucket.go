package wheel

import "time"

// A bucket's number is kind u4 ‖ index u28. Kinds up to 11 are expiry buckets
// with the steps of the ladder; the index times the step is their end.
const (
	kindSent  = 14
	kindState = 15
	indexBits = 28
	maxIndex  = 1<<indexBits - 1

	sentPeriod = 30 * 24 * time.Hour
)

var ladder = [...]time.Duration{
	time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute,
	64 * time.Minute, 128 * time.Minute, 256 * time.Minute, 512 * time.Minute, 1024 * time.Minute, 24 * time.Hour,
}

// BucketFor returns the bucket of what expires at expiresAt after a life of
// ttl. It ends at expiresAt or later, by less than ttl/64, and less than a day;
// a minute where ttl/64 is less.
func BucketFor(expiresAt time.Time, ttl time.Duration) uint32 {
	kind := 0
	for kind+1 < len(ladder) && ladder[kind+1] <= ttl/64 {
		kind++
	}
	sec := max(0, expiresAt.Unix())
	if expiresAt.Nanosecond() > 0 {
		sec++
	}
	for {
		step := int64(ladder[kind] / time.Second)
		index := (sec + step - 1) / step
		if index <= maxIndex {
			return uint32(kind)<<indexBits | uint32(index)
		}
		if kind++; kind == len(ladder) { // 700,000 years away
			return uint32(kind-1)<<indexBits | maxIndex
		}
	}
}

// BucketSent returns the bucket of what was sent at sentAt and doesn't expire:
// one for each 30 days. It ends when the caller forgets it.
func BucketSent(sentAt time.Time) uint32 {
	index := max(0, sentAt.Unix()) / int64(sentPeriod/time.Second)
	return kindSent<<indexBits | uint32(min(index, maxIndex))
}

// BucketState returns the n-th bucket, modulo 2^28, for versions of a state
// that are sealed under one leaf after the other and punctured in that order,
// so that the bucket stays under 1 KiB. When its Leaves are used up, the next
// number follows.
func BucketState(n uint32) uint32 { return kindState<<indexBits | n&maxIndex }

// BucketEnd returns when everything in an expiry bucket has expired. It is
// zero for buckets that don't end by themselves.
func BucketEnd(bucket uint32) time.Time {
	kind := bucket >> indexBits
	if int(kind) >= len(ladder) {
		return time.Time{}
	}
	return time.Unix(int64(bucket&maxIndex)*int64(ladder[kind]/time.Second), 0).UTC()
}
