// Package mail is the replay simulation of relays: real engines and real
// shelves in one process, and one seeded driver between them that deposits,
// collects, crashes, lets days pass, and makes relays drop, lie, replay,
// reorder, roll back and die.
//
// It has no network and no keeper's streams: the driver is the wire, and does
// what node/post does. It promises that one seed gives one course of events,
// and that whatever the driver does, no message is lost or shown twice that
// the guarantee of delivery covers; each check has a positive control. README.md
// has the commands of the full-size runs and their last results.
package mail
