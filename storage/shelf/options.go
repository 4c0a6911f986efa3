package shelf

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"rushlight/storage/logsync"
)

// Options says where a shelf is and what it takes. Dir, Root and Key are
// needed; the zero value of the rest is right for a small server.
type Options struct {
	// Dir belongs to the shelf alone. It is made with mode 0700.
	Dir string
	// Root is the secret that opens the keys of the days.
	Root [32]byte
	// Key signs receipts. It is the relay's own.
	Key ed25519.PrivateKey
	// Logger gets what the operator should know; nil drops it.
	Logger *slog.Logger

	// Quota is how many bytes of envelopes a mailbox may hold, and the most
	// that an owner may ask for; 0 is 32 MiB.
	Quota uint64
	// Lane is how many requests of strangers a mailbox holds; 0 is 64.
	Lane int
	// TTL is the longest time in days for which an envelope is kept; 0 is 30.
	// It is at most 14 for large envelopes and requests.
	TTL uint8
	// Lease is for how many days a mailbox is kept after its owner came last;
	// 0 is 90.
	Lease uint16

	// DiskCap is how many bytes the directory may take, with everything the
	// database needs besides; 0 is no limit but the disk's. About six
	// tenths can be live mail.
	DiskCap int64
	// MinFree is the free space in bytes under which nothing is stored,
	// because Badger dies when the disk is full; 0 is 512 MiB, and it is never
	// less than 4 × Young, which a merge of tables may need.
	MinFree int64
	// Ballast is the size in bytes of a file that is given up to be able to
	// open on a full disk; 0 is 512 MiB, or 1/64 of DiskCap when that is less;
	// negative is none.
	Ballast int64

	// Queue is how many bytes may wait to be written; 0 is 64 MiB. What comes
	// when it is full is refused as busy.
	Queue int
	// MemTableSize is Badger's; 0 is 8 MiB. 15 % of it is the longest commit, and
	// making a table of it is what a commit may have to wait for.
	MemTableSize int64
	// Young is how many bytes of young tables may gather before they are merged
	// while deposits come; 0 is 256 MiB, or 8 × MemTableSize when that is given.
	// It is never less than that.
	Young int64
	// Compactors is how many goroutines merge tables; nil is 2. 1 is refused.
	Compactors *int
	// ConfirmAfter is for how long the shelf must run after the clock has gone
	// forward by more than a day before it believes that and destroys what has
	// expired by it; until then that is hidden. 0 is a day.
	ConfirmAfter time.Duration

	// Stored, when it is not nil, is called by the writer after each commit,
	// when its jobs have been answered, with the mailboxes that got something.
	// It must not block.
	Stored func(handles []uint64)

	// UnsafeNoSync loses acknowledged envelopes in a power cut, UnsafeAckFirst
	// in a crash, and UnsafeKeepDays never destroys a day's key. They exist for
	// the tests that show so.
	UnsafeNoSync   bool
	UnsafeAckFirst bool
	UnsafeKeepDays bool

	tick  time.Duration // of the house keeping
	time  clock
	merge bool                // also while the clock is ahead; for the tests that show why not
	heard func(format string) // what Badger logs
}

// clock is the time; tests have one of their own.
type clock interface {
	now() time.Time
	// dropAt is the system's time at which Badger may drop what ends with a day.
	dropAt(day uint16) time.Time
}

type systemClock struct{}

func (systemClock) now() time.Time { return time.Now() }

// dropAt leaves some days to correct a clock.
func (systemClock) dropAt(day uint16) time.Time { return dayStart(day).AddDate(0, 0, 1+slackDays) }

// slackDays is for how many days after its last one an envelope stays in the
// database.
const slackDays = 2

const (
	maxTTLLarge  = 14
	secondsOfDay = 86400
	maxMemTable  = 256 << 20
)

func dayStart(day uint16) time.Time { return time.Unix(int64(day)*secondsOfDay, 0).UTC() }

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" || len(o.Key) != ed25519.PrivateKeySize {
		return o, errors.New("shelf: Options.Dir or Options.Key is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Quota == 0 {
		o.Quota = 32 << 20
	}
	if o.Lane == 0 {
		o.Lane = 64
	}
	if o.Lane < 0 || o.Lane > maxLane {
		return o, errors.New("shelf: Options.Lane is out of range")
	}
	if o.TTL == 0 {
		o.TTL = 30
	}
	if o.Lease == 0 {
		o.Lease = 90
	}
	o = o.sized()
	if o.MemTableSize < 2<<20 || o.MemTableSize > maxMemTable {
		return o, errors.New("shelf: Options.MemTableSize is outside 2–256 MiB")
	}
	if o.Compactors == nil {
		two := 2
		o.Compactors = &two
	}
	if n := *o.Compactors; n < 0 || n == 1 {
		return o, errors.New("shelf: Options.Compactors must be 0 or at least 2")
	}
	if o.MinFree == 0 {
		o.MinFree = 512 << 20
	}
	o.MinFree = max(o.MinFree, o.reserve())
	if o.DiskCap != 0 && o.DiskCap < 2*o.reserve() {
		return o, errors.New("shelf: Options.DiskCap is too small: the database itself needs 8 × Young")
	}
	o.Ballast = o.ballast()
	if o.Queue == 0 {
		o.Queue = 64 << 20
	}
	if o.ConfirmAfter == 0 {
		o.ConfirmAfter = 24 * time.Hour
	}
	if o.tick == 0 {
		o.tick = 20 * time.Second
	}
	if o.time == nil {
		o.time = systemClock{}
	}
	return o, nil
}

// sized has the sizes of tables filled in.
func (o Options) sized() Options {
	if o.MemTableSize == 0 {
		o.MemTableSize, o.Young = 8<<20, max(o.Young, 256<<20)
	}
	o.Young = max(o.Young, 8*o.MemTableSize)
	return o
}

// reserve is what a merge of tables may take for a while beside what is there.
func (o Options) reserve() int64 { return 4 * o.Young }

// capacity is how many bytes of envelopes fit under the disk cap.
func (o Options) capacity() uint64 {
	if o.DiskCap == 0 {
		return math.MaxInt64
	}
	return uint64(o.DiskCap-o.reserve()-max(o.Ballast, 0)) * 2 / 3
}

// Capacity is how many bytes of envelopes fit under the disk cap.
func (o Options) Capacity() uint64 {
	with := o.sized()
	with.Ballast = with.ballast()
	return with.capacity()
}

func (o Options) ballast() int64 {
	if o.Ballast != 0 {
		return o.Ballast
	}
	if o.DiskCap > 0 {
		return min(512<<20, o.DiskCap/64)
	}
	return 512 << 20
}

// maxStored is the length of the longest value.
const maxStored = 64<<10 + 256

// How many young tables there may be: from few on they are merged when nobody
// writes, from many on always, and at stall writers wait. A merge makes deposits
// wait for the processor, so a burst is let pass first. As many as there may be,
// and what they are merged with, have to fit into reserve.
func (o Options) few() int   { return o.many() / 2 }
func (o Options) many() int  { return int(o.Young / o.MemTableSize) }
func (o Options) stall() int { return o.many() * 9 / 4 }

// badger returns Badger's options; heard, which may be nil, is told the format
// of each line that it logs.
func (o Options) badger(dir string, heard func(format string)) badger.Options {
	stall := o.stall()
	if *o.Compactors == 0 {
		stall = math.MaxInt32 // nobody would end the stall
	}
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{o.Logger, heard}).
		WithSyncWrites(!logsync.Alone && !o.UnsafeNoSync).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithMemTableSize(o.MemTableSize).
		WithNumMemtables(3).
		WithValueThreshold(maxStored).
		WithValueLogFileSize(1 << 20).
		WithBaseTableSize(max(1<<20, o.Young/32)).
		WithBaseLevelSize(o.Young / 4).
		WithLevelSizeMultiplier(16). // what has expired waits less long for a merge
		WithNumLevelZeroTables(o.few()).
		WithNumLevelZeroTablesStall(stall).
		WithNumCompactors(*o.Compactors).
		WithCompression(options.None).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(48 << 20).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithExternalMagic(schema)
}

// schema is the version of the layout.
const schema = 1

// badgerLog passes on that something was said, not what: Badger's messages
// carry keys and paths.
type badgerLog struct {
	log   *slog.Logger
	heard func(format string)
}

func (l badgerLog) Errorf(format string, _ ...any) { l.log.Warn("database error", "message", format) }

func (l badgerLog) Warningf(format string, _ ...any) {
	l.log.Info("database warning", "message", format)
}

func (l badgerLog) Infof(format string, _ ...any) {
	if l.heard != nil {
		l.heard(format)
	}
}

func (l badgerLog) Debugf(format string, args ...any) { l.Infof(format, args...) }
