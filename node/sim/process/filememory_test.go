//go:build linux

package process_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rushlight/node/api"
)

// resident is how much memory a daemon has, and the most that it had since
// forgetPeak, in bytes.
func (d *daemon) resident() (now, most int64) {
	d.t.Helper()
	status := fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid)
	return number(status, "VmRSS:") << 10, number(status, "VmHWM:") << 10
}

func (d *daemon) forgetPeak() {
	d.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.cmd.Process.Pid), []byte("5"), 0); err != nil {
		d.t.Skip("this machine can't forget a peak of memory: ", err)
	}
}

// sparse makes a file that costs the disk next to nothing and is nonetheless
// another in every MiB: zeroes with some KiB of random bytes here and there,
// the same in every run.
func sparse(t testing.TB, size int64) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), fmt.Sprintf("%d.bin", size))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	var island [512]byte
	for at := int64(0); at+1<<20 <= size; at += 1 << 20 {
		_, _ = random.Read(island[:])
		if _, err := f.WriteAt(island[:], at+int64(random.Uint64()%(1<<20-512))); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// sum is the hash of a file.
func sum(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// sends sends a file, which the other side asks for: it needn't leave three
// quarters of the disk.
func (d *daemon) sends(to *daemon, path string) (id string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Hour) // sealing takes a while
	defer cancel()
	var sent struct{ ID string }
	if err := d.client.Call(ctx, "send", obj{"recipient": to.account, "message": "a file", "attachments": []string{path}}, &sent); err != nil {
		d.t.Fatal(err)
	}
	to.until("the message is there", func() bool { return to.try("message", obj{"id": sent.ID}, nil) == nil })
	to.call("resumeTransfer", obj{"id": sent.ID, "file": 0}, nil)
	return sent.ID
}

// file is how the only file of a message stands.
func (d *daemon) file(id string) api.File {
	d.t.Helper()
	var res struct{ Message api.Message }
	d.call("message", obj{"id": id}, &res)
	if len(res.Message.Files) != 1 {
		d.t.Fatalf("%d files", len(res.Message.Files))
	}
	return res.Message.Files[0]
}

// gets waits until a file is here, checked.
func (d *daemon) gets(id string) {
	d.t.Helper()
	for late := time.Now().Add(time.Hour); d.file(id).State != api.TransferDone; {
		if time.Now().After(late) {
			d.t.Fatalf("not within an hour: %+v", d.file(id))
		}
		<-time.After(100 * time.Millisecond)
	}
}

// saves saves a file, compares its content with another one's, and deletes it.
func (d *daemon) saves(id, like string) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "saved")
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Hour)
	defer cancel()
	if err := d.client.Call(ctx, "save", obj{"id": id, "path": path}, nil); err != nil {
		d.t.Fatal(err)
	}
	if sum(d.t, path) != sum(d.t, like) {
		d.t.Error("another file was saved")
	}
	if err := os.Remove(path); err != nil {
		d.t.Error(err)
	}
}

// sizeOfFile is what RUSHLIGHT_FILE_MIB says.
func sizeOfFile() (size int64, ok bool) {
	n, err := strconv.ParseInt(os.Getenv("RUSHLIGHT_FILE_MIB"), 10, 64)
	return n << 20, err == nil
}

// TestFileMemory: neither who sends a file nor who gets and saves it needs more
// than 64 MiB for that, however large it is. RUSHLIGHT_FILE_MIB sets its size;
// the disk must have three times of it free: what is sealed at one side, the
// same at the other, and what is saved. node/files/README.md has the last
// results.
func TestFileMemory(t *testing.T) {
	size, large := sizeOfFile()
	if !large && testing.Short() {
		t.Skip("it measures memory")
	}
	if !large {
		size = 192 << 20
	}
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	first := sparse(t, 1<<20)
	id := a.sends(b, first)
	b.gets(id)
	b.saves(id, first) // everything is in use that is used once
	path := sparse(t, size)
	var before [2]int64
	for i, d := range []*daemon{a, b} {
		d.forgetPeak()
		before[i], _ = d.resident()
	}
	began := time.Now()
	id = a.sends(b, path)
	sealed := time.Since(began)
	b.gets(id)
	came := time.Since(began)
	b.saves(id, path)
	for i, d := range []*daemon{a, b} {
		_, most := d.resident()
		t.Logf("%s: %d MiB before, at most %d MiB more", filepath.Base(d.dir), before[i]>>20, (most-before[i])>>20)
		if most-before[i] > 64<<20 {
			t.Errorf("%s needed %d MiB for a file of %d", filepath.Base(d.dir), (most-before[i])>>20, size>>20)
		}
	}
	t.Logf("%d MiB: sealed and announced after %v, at the other side and checked after %v, saved there and compared after %v",
		size>>20, sealed.Round(time.Millisecond), came.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}
