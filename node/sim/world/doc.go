// Package world is the whole-stack simulation: real nodes, each with its own
// database, engine, QUIC stack and clocks, in one process, one synctest bubble
// and virtual time, on a simulated network with latency, loss, partitions and
// firewalls.
//
// It is not a replay: the seed fixes the people, the network and what the
// driver does and when, but not the order in which goroutines run. It promises
// that whatever the driver does, the named invariants hold once the network is
// whole again; each has a positive control that must fail it.
package world
