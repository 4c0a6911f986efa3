package host

import (
	"net"
	"slices"
	"strings"
)

// Interfaces returns a text that changes when the addresses of this machine
// do. It costs two system calls and is for comparing only.
func Interfaces() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
