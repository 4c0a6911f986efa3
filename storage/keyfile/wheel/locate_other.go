//go:build !linux

package wheel

// locate can't tell here.
func locate(string) site {
	return site{problem: "this system doesn't say whether files are overwritten where they stand"}
}
