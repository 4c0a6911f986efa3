package main

import (
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rushlight/storage"
	"rushlight/storage/keyfile"
	"rushlight/storage/record"
)

// asleep DIR DURATION makes a profile, whose daemon is stopped, one that was last
// used so long ago.
func asleep(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ago, err := time.ParseDuration(args[1])
	ts.Check(err)
	root, err := keyfile.Open(keyDir(dir), []byte("correct horse"))
	ts.Check(err)
	then := func() time.Time { return time.Now().Add(-ago) }
	s, err := storage.Open(storage.Options{Dir: storeDir(dir), Root: root, Wall: then})
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	s.CorrectClock(then())
	ts.Check(s.Update(func(tx *storage.Tx) error { return tx.Delete(record.DoubtKey()) }))
}
