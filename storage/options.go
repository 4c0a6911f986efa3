package storage

import (
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rushlight/storage/logsync"
)

// Schema is the version of the layout this package writes. A store with a
// higher one is refused with [ErrVersion].
const Schema uint16 = 1

// Limits of one record.
const (
	MaxKey   = 512      // bytes of a key, with its family
	MaxValue = 96 << 10 // bytes of a value before sealing
)

// Names inside the store's directory.
const (
	dirDatabase = "db"
	fileGuard   = "guard"
	fileLock    = "lock"
	fileBallast = "ballast"
	fileProbe   = "probe"
	fileNote    = "read"
)

// Options says where a store is and how it behaves. Dir and Root are needed;
// the zero value of the rest is right for a desktop.
type Options struct {
	// Dir is the store's directory. It is created with mode 0700 when
	// missing and belongs to the store alone.
	Dir string
	// Root is the secret from which all keys of the store are derived.
	Root [32]byte
	// Logger gets what goes wrong without being an error; nil drops it.
	Logger *slog.Logger
	// MemTableSize is how many bytes of recent writes are kept in memory
	// before they become a table; 0 is 7 MiB. About 15 % of it is the limit
	// of one transaction (see [Tx.Fits]). While a table is written the memory
	// in use is two and a half times as much, and what the table is made in:
	// twice as much again for small records, four times for those of more than
	// 4 KiB, rounded up to 4, 12, 28 or 60 MiB. At least 2 MiB.
	MemTableSize int64
	// Compactors is how many goroutines merge tables when there is something to
	// merge; nil is 2, and 0 is never. 1 is refused.
	Compactors *int
	// MinFree is the free space in bytes under which Update returns
	// [ErrNoSpace], because Badger dies when the disk is full; 0 is 512 MiB,
	// and it is never less than 16 × MemTableSize, which is what a merge may take.
	MinFree int64
	// Ballast is the size in bytes of a file that is given up to be able to
	// open the store on a full disk; 0 is 64 MiB, negative is none.
	Ballast int64
	// Wall is the system's clock; nil is time.Now.
	Wall func() time.Time
	// Invariants are checked by [Store.Check].
	Invariants []Invariant
	// UnsafeNoSync loses acknowledged writes in a power cut. It exists for
	// the test that shows so.
	UnsafeNoSync bool
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("storage: Options.Dir is empty")
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 7 << 20
	}
	if o.MemTableSize < 2<<20 || o.MemTableSize > 64<<20 {
		return o, errors.New("storage: Options.MemTableSize is outside 2–64 MiB")
	}
	if o.Compactors == nil {
		two := 2
		o.Compactors = &two
	}
	if n := *o.Compactors; n < 0 || n == 1 {
		return o, errors.New("storage: Options.Compactors must be 0 or at least 2")
	}
	if o.MinFree == 0 {
		o.MinFree = 512 << 20
	}
	o.MinFree = max(o.MinFree, stallTables*o.MemTableSize)
	if o.Ballast == 0 {
		o.Ballast = 64 << 20
	}
	return o, nil
}

// badger returns Badger's options: values inline, no compression, small
// caches. memTable is the least MemTableSize that takes the logs found;
// h, which may be nil, is told what happens.
func (o Options) badger(dir string, k keys, memTable int64, h hooks) badger.Options {
	stall := stallTables
	if *o.Compactors == 0 {
		stall = math.MaxInt32 // nobody would end the stall
	}
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{log: o.Logger, hooks: h}).
		WithSyncWrites(!logsync.Alone && !o.UnsafeNoSync).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithMemTableSize(max(o.MemTableSize, memTable)).
		WithNumMemtables(1).
		WithValueThreshold(maxStored + 1).
		WithValueLogFileSize(1 << 20).
		WithBaseTableSize(2 << 20).
		WithNumLevelZeroTables(3).
		WithNumLevelZeroTablesStall(stall).
		WithNumCompactors(*o.Compactors).
		WithCompression(options.None).
		WithBlockCacheSize(1 << 20).
		WithIndexCacheSize(8 << 20).
		WithChecksumVerificationMode(options.OnBlockRead). // see audit
		WithExternalMagic(Schema).
		WithEncryptionKey(k.badger[:])
}

// How many young tables there may be: from manyTables on they are merged also
// while somebody writes, and at stallTables Badger makes writers wait.
const manyTables, stallTables = 8, 16

// badgerLog passes on that something was said, not what: Badger's messages
// carry keys and paths.
type badgerLog struct {
	log   *slog.Logger
	hooks hooks
}

// hooks is who wants to know what Badger says in passing.
type hooks interface {
	heard(format string)   // every line
	beforeMerge()          // tables are about to be replaced by others
	mergeFailed(err error) // Badger goes on with another
	flushFailed(err error) // a table can't be written; Badger tries for ever
}

// flushFails is what Badger says each time it can't write a table.
const flushFails = "error flushing memtable to disk: %v, retrying"

func (l badgerLog) hear(format string) {
	if l.hooks != nil {
		l.hooks.heard(format)
	}
}

func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Warn("database error", "message", format)
	if format == flushFails && l.hooks != nil && len(args) > 0 {
		if err, ok := args[0].(error); ok {
			l.hooks.flushFailed(err)
		}
	}
}

// mergeFails is what Badger says of a merge that failed.
const mergeFails = "[Compactor: %d] LOG Compact FAILED with error: %+v: %+v"

func (l badgerLog) Warningf(format string, args ...any) {
	l.log.Info("database warning", "message", format)
	if format == mergeFails && l.hooks != nil && len(args) > 1 {
		if err, ok := args[1].(error); ok {
			l.hooks.mergeFailed(err)
		}
	}
}
func (l badgerLog) Infof(format string, _ ...any) { l.hear(format) }

// mergeRead is what Badger says when it has read what a merge is to replace
// and hasn't told its manifest yet.
const mergeRead = "Discard stats: %v"

func (l badgerLog) Debugf(format string, _ ...any) {
	l.hear(format)
	if format == mergeRead && l.hooks != nil {
		l.hooks.beforeMerge()
	}
}
