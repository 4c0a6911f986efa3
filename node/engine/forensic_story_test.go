package engine_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/record"
)

// fate is what becomes of something that was said.
type fate int

const (
	live          fate = iota
	timed              // alive, with a timer that is far off
	waiting            // alive, and not delivered
	expired            // by its timer
	expiredUnsent      // so, before it was delivered
	deleted            // by the person
	deletedUnsent      // so, before it was delivered
	burned             // after it was read
	removed            // with the contact
	replaced           // an older version of a draft
	fates
)

func (f fate) String() string {
	return [...]string{
		"live", "live with a timer", "live, not delivered", "expired", "expired, not delivered", "deleted",
		"deleted, not delivered", "burned on reading", "removed with the contact", "older draft",
	}[f]
}

func (f fate) dead() bool { return f >= expired }

// Families that other parts of the program will write under the leaf of the
// message they belong to, and one that is not under the wheel, as a control.
const (
	familyPreview = 0x7b
	familySearch  = 0x7c
	familyOutside = 0x7f
)

var derived = []byte{familyPreview, familySearch}

// utterance is something that was said, with a canary in it.
type utterance struct {
	fate  fate
	id    message.ID
	mine  bool
	draft bool
	file  *message.File // with the canary in its name, thumbnail and content
}

// story is a life of a device. The canary of the n-th utterance has its number.
type story struct {
	root [32]byte
	mark string
	all  []utterance
	// Sealed files: the attacker has a copy of each, whether or not it was
	// deleted.
	pieces map[file.Name][]byte
	head   uint64
	level  wheel.Level
}

var canaries = regexp.MustCompile(`canary-([0-9a-f]{16})-(\d{5});`)

func (s *story) text(n int) string { return fmt.Sprintf("canary-%s-%05d; it is said", s.mark, n) }

// attach makes a file for the n-th utterance, for two of three.
func (s *story) attach(n int) *message.File {
	if n%3 == 0 {
		return nil
	}
	content := []byte(s.text(n))
	l, err := file.NewLayout(uint64(len(content)))
	if err != nil {
		panic(err)
	}
	f := &message.File{
		Name: s.text(n), Type: "text/plain", Size: l.Size(), SHA256: sha256.Sum256(content), Key: file.NewKey(), Thumbnail: content,
	}
	piece := l.Seal(nil, f.Key, 0, bytes.Clone(content))
	f.Root = file.NameOf(piece)
	s.pieces[f.Root] = piece
	return f
}

// linked is a text with a link in it, and a preview that has the canary in all
// its parts.
func (s *story) linked(n int) (string, *message.Preview) {
	const link = "https://example.org/"
	text := s.text(n) + " " + link
	p := message.PreviewOf(text, link)
	p.Title, p.Description, p.Image = s.text(n), s.text(n), []byte(s.text(n))
	return text, p
}

// opened returns which canaries are in files whose keys are in b.
func (s *story) opened(b []byte) (out []int) {
	// Records 5 and 6 of a file, each of 32 bytes (spec §15.3).
	eachAfter(b, "\x00\x05\x00\x00\x20", func(rest []byte) {
		if len(rest) < 32+5+32 {
			return
		}
		piece := s.pieces[file.Name(rest[37:])]
		l, err := file.NewLayout(uint64(len(s.text(0))))
		if err != nil || piece == nil {
			return
		}
		if content, err := l.Open(nil, file.Key(rest), 0, bytes.Clone(piece)); err == nil {
			out = append(out, s.numbers(content)...)
		}
	})
	return out
}

// numbers returns which canaries are in b.
func (s *story) numbers(b []byte) (out []int) {
	for _, m := range canaries.FindAllSubmatch(b, -1) {
		if string(m[1]) == s.mark {
			n := 0
			_, _ = fmt.Sscanf(string(m[2]), "%d", &n)
			out = append(out, n)
		}
	}
	return out
}

// quiet is a device whose database keeps every version of every record, so that
// the attacker misses none.
func quiet(t *testing.T, dir, name string, sync bool) *device {
	t.Helper()
	d := &device{t: t, dir: dir, root: [32]byte{1}}
	none := 0
	s, err := storage.Open(storage.Options{Dir: dir, Root: d.root, Ballast: -1, MinFree: -1, Compactors: &none, UnsafeNoSync: !sync})
	if err != nil {
		t.Fatal(err)
	}
	d.store = s
	if err := engine.Create(s, identity.NewRecoveryCode(), name, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(d.close)
	return d
}

// tell lives through a story of about n messages with the device in dir, in
// virtual time. changed is called when keys may have been destroyed or made,
// seized at the end, while the device still runs.
func tell(t *testing.T, dir string, n int, changed func(), seized func(s *story)) {
	t.Helper()
	var mark [8]byte
	_, _ = rand.Read(mark[:])
	s := &story{root: [32]byte{1}, mark: hex.EncodeToString(mark[:]), pieces: map[file.Name][]byte{}}
	a, b, c := quiet(t, dir, "ann", true), quiet(t, t.TempDir(), "bob", false), quiet(t, t.TempDir(), "cid", false)
	join(t, a, b)
	join(t, a, c)
	ctx := t.Context()

	send := func(from, to *device, f fate, l message.Lifetime) {
		t.Helper()
		msg := engine.Send{To: to.Account(), Text: s.text(len(s.all)), Life: l}
		of := s.attach(len(s.all))
		if of == nil {
			msg.Text, msg.Preview = s.linked(len(s.all))
		}
		if of != nil {
			msg.Files = []message.File{*of}
		}
		out, err := from.Send(ctx, msg)
		if err != nil {
			t.Fatal(err)
		}
		s.all = append(s.all, utterance{fate: f, id: out.ID, mine: from == a, file: of})
	}
	lives := map[fate]message.Lifetime{
		timed: {Expiry: 30 * 24 * time.Hour}, expired: {Expiry: time.Hour}, burned: {Burn: 30 * time.Second},
	}
	draft := func(with *device, f fate) {
		t.Helper()
		must(t, a.SetDraft(ctx, with.Account(), record.Draft{Text: s.text(len(s.all))}))
		s.all = append(s.all, utterance{fate: f, draft: true})
	}

	// Delivered, both ways, a few at a time, so that there are many states.
	for i := 0; len(s.all) < n*17/20; i++ {
		switch f := []fate{live, expired, deleted, removed, timed, burned, expired, deleted, removed, live}[i%10]; {
		case f == removed && i/10%2 == 0:
			send(a, c, f, message.Lifetime{})
		case f == removed:
			send(c, a, f, message.Lifetime{})
		case f == burned || i/10%2 == 0:
			send(b, a, f, lives[f])
		default:
			send(a, b, f, lives[f])
		}
		if i%8 == 7 {
			a.carry(b)
			b.carry(a)
			a.carry(c)
			c.carry(a)
			time.Sleep(time.Second)
		}
		if i%100 == 50 {
			synctest.Wait()
			draft(b, replaced)
			draft(c, removed)
			changed()
		}
	}
	for _, d := range []*device{b, c} {
		a.carry(d)
		d.carry(a)
	}
	// And not delivered.
	for i := 0; len(s.all) < n; i++ {
		f := []fate{waiting, expiredUnsent, deletedUnsent}[i%3]
		l := message.Lifetime{}
		if f == expiredUnsent {
			l = lives[expired]
		}
		send(a, b, f, l)
	}
	synctest.Wait()
	draft(b, live)
	s.derive(t, a)
	changed()
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	changed() // the old states are gone

	// Now they end.
	if _, err := a.Read(ctx, engine.Read{With: b.Account()}); err != nil {
		t.Fatal(err)
	}
	for i, u := range s.all {
		if u.fate == deleted || u.fate == deletedUnsent {
			must(t, a.Delete(ctx, u.id))
			if i%16 == 0 {
				synctest.Wait()
				changed()
			}
		}
	}
	synctest.Wait()
	changed()
	time.Sleep(40 * time.Second)
	synctest.Wait()
	changed()
	must(t, a.Remove(ctx, c.Account()))
	synctest.Wait()
	changed()
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	changed()
	s.survivors(t, a, b)
	s.head, s.level = a.store.Head(), a.store.Erasure().Level
	seized(s)
	if r, err := a.Check(ctx); err != nil || len(r.Faults) > 0 {
		t.Errorf("check: %+v %v", r, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// derive writes what other parts of the program will keep of each message, and
// one record outside the wheel.
func (s *story) derive(t *testing.T, d *device) {
	t.Helper()
	for first := 0; first < len(s.all); first += 64 {
		must(t, d.store.Update(func(tx *storage.Tx) error {
			for n := first; n < min(first+64, len(s.all)); n++ {
				u, text := s.all[n], []byte(s.text(n))
				num := binary.BigEndian.AppendUint32(nil, uint32(n))
				outside := text
				if f := u.file; f != nil {
					outside = wire.NewWriter(bytes.Clone(text)).Record(5, f.Key[:]).Record(6, f.Root[:]).Out()
				}
				if err := tx.Put(append(storage.Key{familyOutside}, num...), outside); err != nil {
					return err
				}
				if u.draft {
					continue
				}
				b, err := tx.Get(record.IndexKey(u.id))
				if err != nil {
					return fmt.Errorf("message %d, %v: %w", n, u.fate, err)
				}
				x, err := record.ParseIndex(b)
				if err != nil {
					return err
				}
				leaf, ok, err := tx.LeafOf(x.Key)
				if err != nil || !ok {
					return fmt.Errorf("message %d has no leaf: %w", n, err)
				}
				_, until, err := tx.Expiring(x.Key)
				if err != nil {
					return err
				}
				for _, family := range derived {
					if err := tx.PutUnder(append(storage.Key{family}, num...), text, until, leaf); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
}

// survivors checks that the person sees what is alive and nothing else.
func (s *story) survivors(t *testing.T, a, b *device) {
	t.Helper()
	seen := map[int]bool{}
	for _, text := range a.texts(b) {
		for _, n := range s.numbers([]byte(text)) {
			seen[n] = true
		}
	}
	for n, u := range s.all {
		if !u.draft && seen[n] == u.fate.dead() {
			t.Errorf("message %d, %v: shown: %v", n, u.fate, seen[n])
		}
	}
}

// loot is what an attacker made of a seizure.
type loot struct {
	of         [fates]int
	messages   [fates]int // recovered from any record
	derived    [fates]int // files, previews and searches
	outbox     [fates]int
	outside    [fates]int // from the records outside the wheel
	sealed     [fates]int // how many had files
	files      [fates]int // of these, recovered from what was sealed
	spilled    [fates]int // so, with keys from outside the wheel
	superseded [2]int     // states: recovered, of
	current    [2]int
	clear      int // canaries that stand in clear
	heads      uint64
	attacker   *attacker
}

// attack works on a medium, the files, and all that was ever in the database.
func (s *story) attack(all []row, pieces ...[]byte) *loot {
	out := &loot{attacker: carve(s.root, pieces...)}
	for _, u := range s.all {
		out.of[u.fate]++
		if u.file != nil {
			out.sealed[u.fate]++
		}
	}
	files, spilled := map[int]bool{}, map[int]bool{}
	for _, raw := range pieces {
		eachAfter(raw, "canary-"+s.mark, func([]byte) { out.clear++ })
	}
	count := func(seen map[int]bool, into *[fates]int) {
		for n := range seen {
			into[s.all[n].fate]++
		}
	}
	found, outbox, outside := map[int]bool{}, map[int]bool{}, map[int]bool{}
	more := map[byte]map[int]bool{}
	for i, r := range all {
		if bytes.Equal(r.key, []byte("\x00head")) {
			out.heads++
		}
		if len(r.value) == 0 {
			continue
		}
		pt, erasable := out.attacker.open(r)
		isState := r.key[0] >= 0x10 && r.key[0] < record.FamilyOutbox
		if isState {
			newest := i == 0 || !bytes.Equal(all[i-1].key, r.key)
			which := &out.superseded
			if newest {
				which = &out.current
			}
			which[1]++
			if pt != nil {
				which[0]++
			}
		}
		if pt == nil {
			continue
		}
		for _, n := range s.opened(said(r.key, pt)) {
			if r.key[0] == familyOutside {
				spilled[n] = true
			} else {
				files[n] = true
			}
		}
		for _, n := range s.numbers(said(r.key, pt)) {
			switch {
			case r.key[0] == familyOutside:
				outside[n] = true
				continue
			case !erasable:
				out.clear++ // something of it is outside the wheel, and mustn't be
			case r.key[0] == record.FamilyOutbox:
				outbox[n] = true
			case bytes.IndexByte(derived, r.key[0]) >= 0:
				if more[r.key[0]] == nil {
					more[r.key[0]] = map[int]bool{}
				}
				more[r.key[0]][n] = true
			}
			found[n] = true
		}
	}
	count(found, &out.messages)
	count(outbox, &out.outbox)
	count(outside, &out.outside)
	count(files, &out.files)
	count(spilled, &out.spilled)
	for _, m := range more {
		count(m, &out.derived)
	}
	return out
}

func (l *loot) log(t *testing.T, s *story) {
	t.Helper()
	a := l.attacker
	t.Logf("level %v; %d anchors, %d tops, %d segments; states: %d of %d superseded, %d of %d current; %d canaries in clear",
		s.level, a.anchors, a.tops, a.segments, l.superseded[0], l.superseded[1], l.current[0], l.current[1], l.clear)
	for f := range fates {
		t.Logf("  %-26v %4d of %4d recovered; %4d of %4d files, %4d derived records, %4d outbox entries",
			f, l.messages[f], l.of[f], l.files[f], l.sealed[f], l.derived[f], l.outbox[f])
	}
}

// wantErased is what must hold where the disk overwrites in place.
func (l *loot) wantErased(t *testing.T, s *story) {
	t.Helper()
	l.log(t, s)
	if l.heads != s.head {
		t.Errorf("control: the attacker has %d of %d commits", l.heads, s.head)
	}
	if l.clear > 0 {
		t.Errorf("%d canaries in clear, or in records outside the wheel", l.clear)
	}
	if l.superseded[0] > 0 {
		t.Errorf("%d superseded states are recovered", l.superseded[0])
	}
	if l.current[0] != l.current[1] || l.superseded[1] < 100 {
		t.Errorf("control: %d of %d states are recovered, %d were superseded", l.current[0], l.current[1], l.superseded[1])
	}
	for f := range fates {
		if l.of[f] == 0 || l.outside[f] != l.of[f] {
			t.Errorf("control: %v: %d of %d recovered from outside the wheel", f, l.outside[f], l.of[f])
		}
		if l.spilled[f] != l.sealed[f] {
			t.Errorf("control: %v: with keys from outside the wheel %d of %d files open", f, l.spilled[f], l.sealed[f])
		}
		if f.dead() {
			if l.messages[f] > 0 || l.derived[f] > 0 || l.outbox[f] > 0 || l.files[f] > 0 {
				t.Errorf("%v: recovered", f)
			}
			continue
		}
		if l.messages[f] != l.of[f] {
			t.Errorf("%v: only %d of %d recovered", f, l.messages[f], l.of[f])
		}
		if l.files[f] != l.sealed[f] {
			t.Errorf("%v: only %d of %d files open", f, l.files[f], l.sealed[f])
		}
	}
	if l.outbox[waiting] != l.of[waiting] {
		t.Error("control: the outbox isn't read")
	}
}

// wantLeaked is for the controls: the attack succeeds where old anchors stay.
func (l *loot) wantLeaked(t *testing.T, s *story) {
	t.Helper()
	l.log(t, s)
	got, of := 0, 0
	for f := range fates {
		if f.dead() {
			got, of = got+l.messages[f], of+l.of[f]
		}
	}
	if got*2 < of { // a journal is written over at some time
		t.Errorf("control: only %d of %d recovered", got, of)
	}
	if l.superseded[0] == 0 {
		t.Error("control: no superseded state is recovered")
	}
}

// files returns the bytes of all files below dir, one piece each.
func files(t *testing.T, dir string) (out [][]byte) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		out = append(out, b)
		return err
	}))
	return out
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
}

// The files that are left, with all that ever was in the database, give nothing
// away; one copy of the key files from before does. Where filesystems can't be
// mounted this is the whole of the test, and as large.
func TestForensicDirectory(t *testing.T) {
	dir, db, old := filepath.Join(t.TempDir(), "ann"), filepath.Join(t.TempDir(), "db"), filepath.Join(t.TempDir(), "old")
	n := 300
	if why := cannotMount(); why != "" && !testing.Short() {
		t.Logf("the test on raw media is skipped: %s", why)
		n = 2000
	}
	var s *story
	var pieces [][]byte
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		tell(t, dir, n, func() {
			if calls++; calls == n/120 {
				copyTree(t, filepath.Join(dir, "wheel"), old)
			}
		}, func(told *story) {
			s, pieces = told, files(t, filepath.Join(dir, "wheel"))
			copyTree(t, filepath.Join(dir, "db"), db)
		})
	})
	all := rows(t, db, s.root)
	s.attack(all, pieces...).wantErased(t, s)
	leaked := s.attack(all, append(pieces, files(t, old)...)...)
	leaked.log(t, s)
	if leaked.messages[deleted] == 0 || leaked.messages[removed] == 0 {
		t.Error("control: an old copy gives nothing away")
	}
}
