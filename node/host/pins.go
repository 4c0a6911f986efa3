//go:build pins

package host

// This file is never built. It keeps the versions of the modules that the
// routing table and public channels will use in go.mod until code imports
// them.
import (
	_ "github.com/libp2p/go-libp2p-kad-dht"
	_ "github.com/libp2p/go-libp2p-pubsub"
)
