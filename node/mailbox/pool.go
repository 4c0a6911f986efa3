package mailbox

import "sync"

// windows are buffers for the frames of one window of a fetch.
var windows = sync.Pool{New: func() any { b := make([]byte, 0, fetchWindow+fetchWindow/64+(64<<10)); return &b }}

func getWindow() []byte { return (*windows.Get().(*[]byte))[:0] }

func putWindow(b []byte) { windows.Put(&b) }
