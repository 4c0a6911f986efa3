package main

// scrubbing does nothing: a process can't be replaced by another here.
func scrubbing() {}
