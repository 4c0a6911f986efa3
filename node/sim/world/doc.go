// Package world is the whole-stack simulation: real nodes, each with its own
// database, engine, QUIC stack and clocks, in one process, one synctest bubble
// and virtual time, on a simulated network with latency, loss, partitions and
// firewalls.
//
// It is not a replay: the seed fixes the people, the network and what the
// driver does and when, but not the order in which goroutines run. It promises
// that whatever the driver does, the named invariants hold once the network is
// whole again; each has a positive control that must fail it.
//
// TestLookups alone puts many nodes into one hash table. The large run is
//
//	RUSHLIGHT_SIM_TABLE=1000 go test ./node/sim/world -run TestLookups -v -timeout 40m
//
// Last result with 100 nodes and 50 ms from anywhere to anywhere: first record
// p50 100 ms, p99 200 ms; after half of the nodes have vanished all are found,
// p50 100 ms, p99 400 ms; who begins then joins in 450 ms (p50).
//
// With 1,000 nodes it does not pass yet. Clients that begin after half of the
// nodes have vanished find all records, p50 400 ms, p99 700 ms, and join in
// 700 ms (p50). Clients that had put and searched some twenty records each in
// less than a minute did not find 40 of 100 records, and 17 of 100 after half
// had vanished (p99 3.2 s). Each had by then called most of the network; that
// the host's 256 connections are the reason is likely and not shown.
package world
