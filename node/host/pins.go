//go:build pins

package host

// This file is never built. It keeps the version of the module that public
// channels will use in go.mod until code imports it.
import _ "github.com/libp2p/go-libp2p-pubsub"
