package post

import (
	"math"
	"testing"
	"time"
)

// The time for work grows with the effort, so that the most that is ever done
// is within reach of slow devices, and is bounded whatever is asked for.
func TestWorkTime(t *testing.T) {
	const (
		unit = 2500 * time.Microsecond // of effort, on a server's processor
		slow = 5                       // times slower
		luck = 3                       // times the mean: enough in 19 cases of 20
	)
	for _, effort := range []uint32{1, firstEffort, 300, 1000, mostEffort} {
		if need := slow * luck * time.Duration(effort) * unit; workTime(effort) < need {
			t.Errorf("effort %d has %v, a slow device needs %v", effort, workTime(effort), need)
		}
	}
	if workTime(firstEffort) != leastWorkTime {
		t.Error("an ordinary request has", workTime(firstEffort))
	}
	if most := workTime(math.MaxUint32); most != workTime(mostEffort) || most > 3*time.Minute {
		t.Error("work has no bound:", most)
	}
}
