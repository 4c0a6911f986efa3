// Package compare holds the same mail in a relay and in two servers of other
// kinds, and asks what each message costs in processor time.
//
// It is a module of its own, so that the servers it compares with are nobody
// else's dependency. NATS JetStream comes as a Go module (Apache-2.0) with its
// file store, synced always; mosquitto comes from Debian (package mosquitto),
// with persistent sessions and QoS 1. Every message is 2 KiB, for one of 64
// recipients that are not there.
//
//	cd node/mailbox/compare && go test -bench . -benchtime 20000x
//
// The last result, on a shared machine with two cores, messages for a second
// of the server's processor time:
//
//	relay                  25,600   synced, signed
//	nats                    7,300   synced
//	mosquitto, strongest      900   for 1,000 messages; written after each
//	mosquitto, default    222,000   in memory: a crash loses half an hour
//
// What each of them promises when it acknowledges:
//
//   - relay: the envelope, and that its stamp is spent, are synced; signed;
//   - nats: the message is synced (SyncAlways);
//   - mosquitto: nothing is on the disk. It writes its whole database now and
//     then; "strongest" has it do so after every change, which is the nearest
//     to a promise that it has, and rewrites all messages for each.
package compare
