package host

import "errors"

// netError is an error of the network without its text.
type netError struct {
	what string
	err  error
}

func (e *netError) Error() string { return e.what }
func (e *netError) Unwrap() error { return e.err }

// Opaque says what failed on the network. The text of err is left out, since
// it names peers and addresses; errors.Is and errors.As still see err.
func Opaque(what string, err error) error {
	if errors.Is(err, ErrFrame) {
		return err // ours, and without either
	}
	return &netError{what: what, err: err}
}
