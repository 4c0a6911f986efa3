package delivery

import (
	"errors"
	"fmt"
	"io"

	"rushlight/node/host"
	"rushlight/protocol/wire"
)

// errProtocol is wrapped by errors about a peer that breaks the rules.
var errProtocol = errors.New("delivery: peer broke the protocol")

func writeFrame(w io.Writer, typ uint8, body []byte) error {
	if _, err := w.Write(wire.AppendFrame(nil, typ, body)); err != nil {
		return host.Opaque("delivery: writing", err)
	}
	return nil
}

// expect reads one frame of the given type.
func expect(in *host.FrameReader, typ uint8) ([]byte, error) {
	got, body, err := in.Next()
	if err != nil {
		return nil, host.Opaque("delivery: waiting for a frame", err)
	}
	if got != typ {
		return nil, fmt.Errorf("%w: frame %#x instead of %#x", errProtocol, got, typ)
	}
	return body, nil
}
