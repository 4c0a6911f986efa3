// Package exact is the replay simulation: real engines over real stores in one
// process, and one seeded driver that sends, delivers, drops, repeats and
// reorders, cuts links, crashes, restores old copies and lets time pass.
//
// It is not a load test and has no network: a test is the wire. It promises
// that one seed gives one course of events, and that whatever the driver does,
// the named invariants hold; each has a positive control, a broken variant
// that must fail it.
package exact
