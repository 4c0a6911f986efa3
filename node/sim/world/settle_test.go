package world

import "time"

// settleTime is how long everything is given to arrive once nothing is in its
// way: the longest pause between two calls, and then some.
const settleTime = 6 * time.Minute
