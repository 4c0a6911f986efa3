package engine

import (
	"time"

	"rushlight/protocol/message"
)

// Never in the place of a lifetime is for ever, whatever the conversation has.
const Never time.Duration = -1

// chosen replaces what is [Never] by what a message says.
func chosen(l message.Lifetime) message.Lifetime {
	if l.Expiry == Never {
		l.Expiry = 0
	}
	if l.Burn == Never {
		l.Burn = 0
	}
	return l
}
