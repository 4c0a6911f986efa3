// Package mutation makes mistakes on purpose, each in a copy of one file that
// the build takes instead, and wants the tests that guard against them to fail.
//
// It changes nothing in the tree. It promises that an inverted expiry, a
// skipped sync, an acknowledgement before the commit and names that aren't
// keyed can't be introduced unnoticed: for the last there is no reconciliation
// by fingerprints here (spec §12.5), so it is the tags of envelopes, by which
// everything is found.
package mutation
