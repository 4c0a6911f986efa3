package host

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// libp2p writes to standard error by itself, with peers and addresses in it.
// What the person running the node should know, this package says.
func init() { gologshim.SetDefaultHandler(slog.DiscardHandler) }
