package identity

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/cryptotest"
	"time"
)

// vectors are frozen: a format never changes without a new version, and a file
// only grows. Each entry was made by generate with its seed.
type vectors struct {
	Seed        uint64            `json:"seed"`
	Account     string            `json:"account"`
	UUID        string            `json:"uuid"`
	Fingerprint string            `json:"fingerprint"`
	Public      string            `json:"public"`
	Device      string            `json:"device"`
	DeviceKeys  string            `json:"deviceKeys"`
	Manifest    string            `json:"manifest"`
	Hash        string            `json:"manifestHash"`
	Successor   string            `json:"successor"`
	Card        string            `json:"card"`
	Invite      string            `json:"invite"`
	Other       string            `json:"otherPublic"`
	Safety      string            `json:"safetyNumber"`
	SafetyQR    string            `json:"safetyQR"`
	SAS         [SASLength]string `json:"sas"`
	Transcript  string            `json:"sasTranscript"`
	Nonces      [2]string         `json:"sasNonces"`
	Code        string            `json:"recoveryCode"`
	Sealed      string            `json:"sealedAccountKey"`
}

func generate(t *testing.T, seed uint64) (v vectors) {
	cryptotest.SetGlobalRandom(t, seed)
	x := hex.EncodeToString
	a, d1, d2 := NewAccount(), NewDevice(), NewDevice()
	p := a.Public()
	m1, err := NewManifest(a, nil, []DeviceInfo{d1.Info(20000), d2.Info(20001)})
	if err != nil {
		t.Fatal(err)
	}
	m2 := next(t, a, m1, d1.Info(20000))
	c, err := SignCard(d1, m2, 3, time.Unix(1.7e9, 0), "Zoë", hints)
	if err != nil {
		t.Fatal(err)
	}
	i := NewInvite(a.ID(), time.Unix(1.8e9, 0))
	i.Uses, i.Hints, i.Relays = [][32]byte{{1}, {2}}, hints, []InviteRelay{{Addr: []byte{1, 2, 3, 4}}}
	o := NewAccount().Public()
	h := m1.Hash()
	v = vectors{
		Seed: seed, Account: a.ID().String(), UUID: a.ID().UUID(), Fingerprint: Fingerprint(a.ID()), Public: x(p[:]),
		Device: d1.ID().String(), DeviceKeys: x(d1.Marshal()),
		Manifest: x(m1.Marshal()), Hash: x(h[:]), Successor: x(m2.Marshal()),
		Card: x(c.Marshal()), Invite: link(t, i),
		Other: x(o[:]), Safety: SafetyNumber(p, o), SafetyQR: MarshalSafetyQR(p, o),
	}
	tr := [32]byte{byte(seed)}
	one, two := NewSAS(tr, true), NewSAS(tr, false)
	e, _ := compare(t, one, two)
	for i := range e {
		v.SAS[i] = e[i].Symbol
	}
	v.Transcript, v.Nonces = x(tr[:]), [2]string{x(one.nonce[:]), x(two.nonce[:])}
	code := NewRecoveryCode()
	v.Code, v.Sealed = code.String(), x(SealAccountKey(code, a))
	return v
}

func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	var frozen []vectors
	if err := json.Unmarshal(raw, &frozen); err != nil || len(frozen) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, v := range frozen {
		if got := generate(t, v.Seed); got != v {
			j, _ := json.MarshalIndent(got, "", " ")
			t.Errorf("seed %d gives\n%s", v.Seed, j)
			continue
		}
		v.check(t)
	}
}

// check reads the frozen forms back.
func (v vectors) check(t *testing.T) {
	t.Helper()
	b := func(s string) []byte {
		out, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	p, o := [32]byte(b(v.Public)), [32]byte(b(v.Other))
	if a, err := ParseAccountID(v.Account); err != nil || a != NewAccountID(p) {
		t.Errorf("account: %v", err)
	}
	d, err := ParseDevice(b(v.DeviceKeys))
	if err != nil || d.ID().String() != v.Device {
		t.Errorf("device: %v", err)
	}
	m1, err := ParseManifest(b(v.Manifest))
	if err != nil || m1.Verify() != nil || m1.Hash() != [32]byte(b(v.Hash)) {
		t.Fatalf("manifest: %v", err)
	}
	if m2, err := ParseManifest(b(v.Successor)); err != nil || m2.Verify() != nil || m2.Succeeds(m1) != nil {
		t.Errorf("successor: %v", err)
	}
	if c, err := ParseCard(b(v.Card)); err != nil || c.Verify() != nil || c.ID().String() != v.Account {
		t.Errorf("card: %v", err)
	}
	if _, err := ParseInvite(v.Invite); err != nil {
		t.Errorf("invite: %v", err)
	}
	if err := CheckSafetyQR(v.SafetyQR, o, p); err != nil {
		t.Errorf("safety code: %v", err)
	}
	code, err := ParseRecoveryCode(v.Code)
	if err != nil {
		t.Fatalf("recovery code: %v", err)
	}
	if a, err := OpenAccountKey(code, b(v.Sealed)); err != nil || a.Public() != p {
		t.Errorf("sealed account key: %v", err)
	}
}
