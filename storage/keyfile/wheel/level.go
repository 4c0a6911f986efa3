package wheel

// Level is how surely forgotten keys are gone from the disk.
type Level byte

// The levels. None of them is about the recipient of a message.
const (
	LevelA Level = 'A' // as B, and the kek has a share that isn't on this disk
	LevelB Level = 'B' // overwritten in place, as far as the system can tell
	LevelC Level = 'C' // older keys may be found on the disk
)

func (l Level) String() string { return string(rune(l)) }

// Assurance is a level and its reason, in words for a person.
type Assurance struct {
	Level  Level
	Reason string
}

// place is where the two slots are on the medium, in bytes; zero is unknown.
type place [2]uint64

// site is what the system tells about the anchor: where it is, and why
// overwriting it may not erase what was there.
type site struct {
	place   place
	problem string
}

// Level returns how surely forgotten keys are gone, as of the last commit.
func (w *Wheel) Level() Assurance {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.site.problem != "" {
		return Assurance{LevelC, "expired messages may be recoverable from this disk: " + w.site.problem}
	}
	for _, b := range w.buckets {
		if b.born <= w.doubt {
			return Assurance{LevelC, "messages from before may be recoverable from this disk: an older key file was left on it, as by a snapshot or a move"}
		}
	}
	if w.options.OffDisk {
		return Assurance{LevelA, "old keys are overwritten where they stood on the disk, and part of the key is kept elsewhere"}
	}
	return Assurance{LevelB, "old keys are overwritten where they stood on the disk; what the drive keeps inside can't be seen"}
}
