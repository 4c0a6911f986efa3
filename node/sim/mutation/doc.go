// Package mutation makes mistakes on purpose, each in a copy of one file that
// the build takes instead, and wants the tests that guard against them to fail.
//
// It changes nothing in the tree. It promises that an inverted expiry, a
// skipped sync, an acknowledgement before the commit, fingerprints that aren't
// keyed (spec §16.1), and tags of envelopes that aren't, can't be introduced
// unnoticed.
package mutation
