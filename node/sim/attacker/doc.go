// Package attacker measures what the operator of a relay learns. Real engines
// leave mail through real clients and libp2p at real relays; then somebody has
// the whole disk of one of them, its key file and its log, and what two of the
// recipient's contacts know, and guesses.
//
// The attacker is told the truth about half of what lies there, learns from it
// whatever it can (sizes, order, commits, days, numbers of stamps, tags, every
// byte), and guesses the other half. Each claim has controls: with a protection
// switched off, the same attacker wins.
//
// What it does not have are the network addresses that a relay sees while
// somebody is connected, another relay's disk (with two, order links the
// copies; a test shows it), and people who behave differently: those who are
// to be told apart do the same things.
//
// go test guesses 2,000 times, where chance alone may reach 0.11. All of it, in
// about a minute of processor time:
//
//	RUSHLIGHT_TRIALS=10000 go test ./node/sim/attacker -run 'TestWhichContact$|TestOneDeviceOrFour$' -v -timeout 20m
//
// The last results: which contact, 10,000 trials, 0.014 and 0.040; copies at two
// relays, 12,470 trials, 0.018; one device or four, 10,000 trials, 0.009. The
// controls reach 0.8 to 1. 0.040 is more than chance: who is known to have used
// a stamp lately that was made after the pool was filled again, uses more such
// ones, until others have been given some, too.
package attacker
