// Package process tests the real program: daemons in processes of their own,
// killed, starved, damaged, moved and measured, on real sockets and, where the
// system allows it, in network namespaces and on file systems of their own. It
// has no code of its own.
package process
