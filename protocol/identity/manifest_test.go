package identity

import (
	"bytes"
	"errors"
	"testing"
)

// person is an account with n devices and its first manifest.
func person(t testing.TB, n int) (*Account, []*Device, *Manifest) {
	t.Helper()
	a := NewAccount()
	devices, infos := make([]*Device, n), make([]DeviceInfo, n)
	for i := range devices {
		devices[i] = NewDevice()
		infos[i] = devices[i].Info(20000)
	}
	m, err := NewManifest(a, nil, infos)
	if err != nil {
		t.Fatal(err)
	}
	return a, devices, m
}

func next(t testing.TB, a *Account, m *Manifest, d ...DeviceInfo) *Manifest {
	t.Helper()
	n, err := NewManifest(a, m, d)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManifestChain(t *testing.T) {
	a, ds, m1 := person(t, 2)
	if err := m1.Verify(); err != nil || m1.ID() != a.ID() {
		t.Fatalf("first manifest: %v", err)
	}
	d3 := NewDevice()
	m2 := next(t, a, m1, append(m1.Devices, d3.Info(1))...)
	m3 := next(t, a, m2, ds[0].Info(20000), d3.Info(1)) // revokes ds[1]
	if err := m3.Verify(); err != nil {
		t.Fatal(err)
	}
	if _, ok := m3.Device(ds[1].ID()); ok || len(m3.Revoked) != 1 || m3.Revoked[0] != ds[1].ID() {
		t.Fatal("device was not revoked")
	}
	other, _, _ := person(t, 1)
	forged := *m3
	forged.Prev[0] ^= 1
	resign(a, &forged)
	back := *m3
	back.Seq++
	back.Prev = m3.Hash()
	back.Devices, back.Revoked = m2.Devices, nil
	resign(a, &back)
	changed := *m2
	changed.Devices = sortDevices(append([]DeviceInfo{{Signing: ds[0].Info(0).Signing, Agreement: NewDevice().Info(0).Agreement, Added: 20000}},
		ds[1].Info(20000)))
	resign(a, &changed)
	gone := *m2
	gone.Devices = []DeviceInfo{ds[0].Info(20000)}
	resign(a, &gone)
	foreign := *m2
	resign(other, &foreign)

	for _, c := range []struct {
		name     string
		new, old *Manifest
		want     error
	}{
		{"direct", m2, m1, nil},
		{"over a gap", m3, m1, nil},
		{"same", m2, m2, ErrStale},
		{"older", m1, m3, ErrStale},
		{"older neighbour", m1, m2, ErrStale},
		{"wrong predecessor", &forged, m2, ErrEquivocation},
		{"same number, other devices", &changed, m2, ErrEquivocation},
		{"revoked device returns", &back, m3, ErrChain},
		{"device changed its key", &changed, m1, ErrChain},
		{"device vanished", &gone, m1, ErrChain},
		{"another account", &foreign, m1, ErrChain},
	} {
		if err := c.new.Verify(); err != nil {
			t.Fatalf("%s: test value does not verify: %v", c.name, err)
		}
		if err := c.new.Succeeds(c.old); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if got := Equivocation(c.new, c.old); got != errors.Is(c.want, ErrEquivocation) {
			t.Errorf("%s: equivocation %v", c.name, got)
		}
	}
	if _, err := NewManifest(a, m3, m2.Devices); err == nil {
		t.Error("made a manifest with a revoked device")
	}
}

// An account is not framed by a pair of which it signed only one.
func TestEquivocationNeedsBothSignatures(t *testing.T) {
	a, _, m1 := person(t, 1)
	m2, other := next(t, a, m1, NewDevice().Info(3)), next(t, a, m1, NewDevice().Info(4))
	if !Equivocation(m2, other) || !Equivocation(other, m2) {
		t.Fatal("control: two signed successors are no proof")
	}
	other.Sig[5] ^= 1
	if Equivocation(m2, other) {
		t.Fatal("proof with a forged signature")
	}
}

func TestManifestLimits(t *testing.T) {
	a, _, m := person(t, 1)
	nine := make([]DeviceInfo, MaxDevices+1)
	for i := range nine {
		nine[i] = NewDevice().Info(0)
	}
	if _, err := NewManifest(a, nil, nine); err == nil {
		t.Error("nine devices")
	}
	if _, err := NewManifest(a, nil, nil); err == nil {
		t.Error("no device")
	}
	full := next(t, a, nil, nine[:MaxDevices]...)
	if n := len(full.Marshal()) + 16*MaxRevoked; n > MaxManifest {
		t.Errorf("largest manifest %d bytes", n)
	}
	shared := nine[0]
	shared.Signing = nine[1].Signing
	if _, err := NewManifest(a, m, []DeviceInfo{nine[0], shared}); err == nil {
		t.Error("two devices with one agreement key")
	}
	if _, err := NewManifest(a, nil, []DeviceInfo{nine[0], nine[0]}); err == nil {
		t.Error("one device twice")
	}
}

func TestManifestBitFlips(t *testing.T) {
	a, ds, m1 := person(t, 2)
	m := next(t, a, m1, ds[0].Info(20000))
	accepts := func(b []byte) bool {
		got, err := ParseManifest(b)
		return err == nil && got.Verify() == nil
	}
	if !accepts(m.Marshal()) {
		t.Fatal("control: the manifest itself is refused")
	}
	everyBit(t, m.Marshal(), accepts)
}

// everyBit flips each bit of b and cuts it at each length; none may pass.
func everyBit(t *testing.T, b []byte, accepts func([]byte) bool) {
	t.Helper()
	for i := range 8 * len(b) {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		if accepts(c) {
			t.Fatalf("accepted with bit %d flipped", i)
		}
	}
	for n := range b {
		if accepts(b[:n]) {
			t.Fatalf("accepted cut to %d bytes", n)
		}
	}
	if accepts(append(bytes.Clone(b), 0)) {
		t.Fatal("accepted with a byte more")
	}
}

func resign(a *Account, m *Manifest) {
	n := *m
	n.Account = a.Public()
	copy(n.Sig[:], signManifest(a, &n))
	*m = n
}

func FuzzParseManifest(f *testing.F) {
	a, _, m := person(f, 2)
	f.Add(m.Marshal())
	f.Add(next(f, a, m, NewDevice().Info(9)).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		_ = m.Verify()
		if !bytes.Equal(m.Marshal(), b) || len(b) > MaxManifest {
			t.Fatal("not canonical")
		}
	})
}
