//go:build !linux

package twoslot

import "os"

// setInPlace does nothing where there is no such attribute.
func setInPlace(*os.File) {}
