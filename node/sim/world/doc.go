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
//	RUSHLIGHT_SIM_TABLE=1000 go test ./node/sim/world -run TestLookups -v -timeout 100m
//
// Last result with 1,000 nodes and 50 ms from anywhere to anywhere: first record
// p50 200 ms, p99 400 ms; after half of the nodes have vanished all 100 records
// are found, p50 400 ms, p99 700 ms; who begins then joins in 600 ms (p50) and finds
// all, p50 400 ms, p99 1 s. It takes 30,000 connections, 6 GB and some ten minutes
// of processor time. That was before calls to nodes were paid for (spec §14.5).
// With 100: first record p50 100 ms, p99 400 ms, the same after half have vanished;
// who begins then finds all, p50 100 ms, p99 600 ms to 1 s with seeds 1 to 4. A
// client had up to 250 connections.
//
// Servers have the budget of a relay; with that of a desktop, which lets in 128
// connections, the 225th could not join by way of those that stood. In a network
// larger than 100 nodes the first 100 join, and the others are connected to those
// that they would know in a table that has stood for a while: joining is what
// costs most here. RUSHLIGHT_SIM_JOINING says how many join. The first 100 make
// 4,100 connections for it and the next 100 another 9,100, in a minute and a half of
// processor time and with 2 GB; so a thousand would take some 100,000, three times
// those of the whole run above. That has not been run. Servers also keep no more
// than some forty connections.
//
// TestShutdown is a third of its full size, which is
//
//	RUSHLIGHT_SIM_FULL=1 go test ./node/sim/world -run 'TestShutdown$' -v -timeout 40m
//
// Last result at full size: 29 of 60 live, 45 pairs; all 41 that have a path
// talk, p50 1 s, p99 22 s. At a third of that size seeds 1 to 10 pass
// (RUSHLIGHT_SIM_SEED), the last after 27 s.
package world
