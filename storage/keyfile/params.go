package keyfile

import (
	"errors"
	"testing"
	"time"

	"rushlight/protocol/suite"
)

// Params are those of argon2id (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

var (
	// Floor is the least that is ever used or accepted.
	Floor = Params{Memory: 64 << 10, Time: 3, Threads: 4}
	// Default is for a desktop; it takes most of a second there.
	Default = Params{Memory: 256 << 10, Time: 3, Threads: 4}
	// TestParams are far below the floor and accepted in test binaries only.
	TestParams = Params{Memory: 64, Time: 1, Threads: 1}

	ceiling = Params{Memory: 1 << 20, Time: 32, Threads: 16}
)

// check refuses parameters outside the limits.
func (p Params) check() error {
	if p == TestParams && testing.Testing() {
		return nil
	}
	if p.Memory < Floor.Memory || p.Time < Floor.Time || p.Threads < Floor.Threads ||
		p.Memory > ceiling.Memory || p.Time > ceiling.Time || p.Threads > ceiling.Threads {
		return errors.New("keyfile: parameters outside the limits")
	}
	return nil
}

// Calibrate measures this machine and returns parameters that take between
// half a second and a second, but never less than Floor.
func Calibrate() (Params, error) {
	salt := make([]byte, saltSize)
	suite.Random(salt)
	start := time.Now()
	key, err := stretch(Floor, salt, salt)
	if err != nil {
		return Params{}, err
	}
	clear(key)
	return calibrate(time.Since(start)), nil
}

// calibrate chooses from the time that Floor takes: the cost is proportional
// to the memory and to the number of passes.
func calibrate(floor time.Duration) Params {
	p := Default
	for p.Memory > Floor.Memory && cost(p, floor) > time.Second {
		p.Memory /= 2
	}
	for p.Memory == Default.Memory && p.Time < 12 && cost(p, floor) < time.Second/2 {
		p.Time++
	}
	return p
}

func cost(p Params, floor time.Duration) time.Duration {
	return floor * time.Duration(p.Memory) / time.Duration(Floor.Memory) * time.Duration(p.Time) / time.Duration(Floor.Time)
}
