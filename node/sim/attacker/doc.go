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
// go test guesses 2,000 times, where chance alone may reach 0.16. All of it, in
// about a minute of processor time:
//
//	RUSHLIGHT_TRIALS=10000 go test ./node/sim/attacker -run 'TestWhichContact$|TestOneDeviceOrFour$' -v -timeout 20m
//
// The last results: which contact, 0.020 in 24,000 trials (about six minutes of
// processor time); copies at two relays, 0.007; one device or four, 0.014 in
// 10,000. The controls reach 0.8 to 1. With the same disk and other labels, drawn
// by coin, the strongest of the strategies reaches 0.017 on average and 0.036 at
// most in 120 draws of 10,000 trials, so 0.020 is no more than chance.
//
// Senders take stamps at random from those that they hold. Before they did, which
// contact reached up to 0.041 in 10,000 trials: who was known to have used a stamp
// lately that was made after the pool was filled again used more such ones, until
// others had been given some, too. To tell 0.05 from chance for sure takes
// RUSHLIGHT_TRIALS=24000.
package attacker
