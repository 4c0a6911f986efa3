//go:build race

package attacker

const raceEnabled = true
