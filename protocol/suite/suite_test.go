package suite_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/crypto/chacha20"
	"pgregory.net/rapid"

	"rushlight/protocol/suite"
)

const (
	labelA suite.Label = "rushlight/test/a/1"
	labelB suite.Label = "rushlight/test/b/1"
)

func TestFrame(t *testing.T) {
	got := suite.Frame("ab", []byte("x"), nil)
	want := []byte{2, 'a', 'b', 0, 0, 0, 1, 'x', 0, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestFrameIsUnambiguous moves the border between two fields; the control is
// plain concatenation, which does not notice.
func TestFrameIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Byte(), 2, 20).Draw(t, "bytes")
		i := rapid.IntRange(0, len(all)).Draw(t, "i")
		j := rapid.IntRange(0, len(all)).Draw(t, "j")
		a, b := suite.Frame(labelA, all[:i], all[i:]), suite.Frame(labelA, all[:j], all[j:])
		if bytes.Equal(a, b) != (i == j) {
			t.Fatal("two splits have one frame")
		}
		if !bytes.Equal(append(bytes.Clone(all[:i]), all[i:]...), append(bytes.Clone(all[:j]), all[j:]...)) {
			t.Fatal("control: concatenation tells them apart")
		}
	})
	frames := map[string]bool{}
	for _, f := range [][]byte{
		suite.Frame(labelA), suite.Frame(labelB), suite.Frame(labelA, nil), suite.Frame(labelA, nil, nil),
		suite.Frame(labelA, []byte{0}), suite.Frame(labelA[:4], []byte(labelA[4:])),
	} {
		frames[string(f)] = true
	}
	if len(frames) != 6 {
		t.Errorf("%d frames of 6 are different", len(frames))
	}
}

// TestLabelsSeparate gives one key and one input two labels.
func TestLabelsSeparate(t *testing.T) {
	key, in := bytes.Repeat([]byte{1}, 32), []byte("input")
	if suite.Hash(labelA, in) == suite.Hash(labelB, in) {
		t.Error("hash")
	}
	if suite.MAC(key, labelA, in) == suite.MAC(key, labelB, in) {
		t.Error("mac")
	}
	if bytes.Equal(suite.Derive(key, nil, 32, labelA, in), suite.Derive(key, nil, 32, labelB, in)) {
		t.Error("derive")
	}
	hash, mac := suite.Hash(labelA, in), suite.MAC(key, labelA, in)
	if hash != suite.Hash(labelA, in) || mac != suite.MAC(key, labelA, in) {
		t.Error("control: not deterministic")
	}
	other := bytes.Repeat([]byte{2}, 32)
	if suite.MAC(key, labelA, in) == suite.MAC(other, labelA, in) {
		t.Error("mac ignores the key")
	}
	if bytes.Equal(suite.Derive(key, nil, 32, labelA), suite.Derive(key, other, 32, labelA)) {
		t.Error("derive ignores the salt")
	}
}

// TestPrimitives holds the functions to values computed once with other tools
// over the frames of spec §2.2.
func TestPrimitives(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	hash, mac := suite.Hash(labelA, []byte("x")), suite.MAC(key, labelA, []byte("x"))
	slow := suite.Stretch(3, [32]byte(key), labelA, []byte("x"))
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"hash":    {hash[:], "38de121ab30ce69ffa1267c2597d77efd20fb49f1e03a20a350e4f2a2c4cf401"},
		"mac":     {mac[:], "91d82ee09e3526478dc9396df2c45a385f5483481697c7a3e2fc48450b6b0bc2"},
		"derive":  {suite.Derive(key, nil, 42, labelA, []byte("x")), "078d7c8b72b105d5b67e2fb77478f0e9dddb5c435a79571d20adad9f99f708117ca33cb10cae11d638bb"},
		"stretch": {slow[:], "7ecb8e39adbfaedc48277e2862cffb6e21c214a942fcd8bd128b68db884c410a72f6fa66d92bcfd77157f7072752089dfed6845c357a32f0e65e81c76c107e4c"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestDerivePanicsBeyondHKDF(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	suite.Derive([]byte{1}, nil, 255*32+1, labelA)
}

func TestSign(t *testing.T) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sig := suite.Sign(priv, labelA, []byte("x"), []byte("y"))
	if !suite.Verify(pub, sig, labelA, []byte("x"), []byte("y")) {
		t.Error("control: a signature does not verify")
	}
	for name, ok := range map[string]bool{
		"other label":  suite.Verify(pub, sig, labelB, []byte("x"), []byte("y")),
		"moved border": suite.Verify(pub, sig, labelA, []byte("xy"), nil),
		"short key":    suite.Verify(pub[:31], sig, labelA, []byte("x"), []byte("y")),
		"no key":       suite.Verify(nil, sig, labelA, []byte("x"), []byte("y")),
		"no signature": suite.Verify(pub, nil, labelA, []byte("x"), []byte("y")),
	} {
		if ok {
			t.Errorf("%s verifies", name)
		}
	}
}

// For a key of small order anybody has signatures of some messages: nothing is
// accepted under one. The control is Ed25519 as the standard library has it,
// which takes a signature of zeroes for one message in a few.
func TestSmallOrderKeys(t *testing.T) {
	p := [32]byte{}
	for i := range p {
		p[i] = 0xff
	}
	p[0], p[31] = 0xed, 0x7f
	torsion, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{make([]byte, 32), append([]byte{1}, make([]byte, 31)...), p[:], torsion} {
		forged := 0
		for i := range 200 {
			msg := []byte{byte(i)}
			// R is the key itself or the neutral point, and S is zero.
			for _, r := range [][]byte{key, append([]byte{1}, make([]byte, 31)...)} {
				sig := append(bytes.Clone(r), make([]byte, 32)...)
				if ed25519.Verify(key, suite.Frame(labelA, msg), sig) {
					forged++
				}
				if suite.Verify(key, sig, labelA, msg) {
					t.Errorf("a signature under %x", key[:4])
				}
			}
		}
		if forged == 0 {
			t.Errorf("control: nothing to forge under %x", key[:4])
		}
	}
}

func TestEqual(t *testing.T) {
	if !suite.Equal([]byte{1, 2}, []byte{1, 2}) || suite.Equal([]byte{1, 2}, []byte{1, 3}) || suite.Equal([]byte{1}, []byte{1, 2}) {
		t.Error("wrong answer")
	}
}

// ciphers are the four ways to encrypt.
var ciphers = map[string]struct {
	seal     func(dst, key, ad, pt []byte) []byte
	open     func(dst, key, ad, ct []byte) ([]byte, error)
	overhead int
	fresh    bool // two ciphertexts of one plaintext differ
}{
	"seal":  {suite.Seal, suite.Open, suite.SealOverhead, false},
	"box":   {suite.SealBox, suite.OpenBox, suite.BoxOverhead, true},
	"boxes": {new(suite.Boxes).Seal, suite.OpenBox, suite.BoxOverhead, true},
	"once":  {suite.SealOnce, suite.OpenOnce, suite.OnceOverhead, false},
	"with": {
		func(dst, key, ad, pt []byte) []byte { k := oneTime(key); return k.Seal(dst, ad, pt) },
		func(dst, key, ad, ct []byte) ([]byte, error) { k := oneTime(key); return k.Open(dst, ad, ct) },
		suite.SealOverhead, false,
	},
}

func oneTime(key []byte) suite.OneTime {
	return suite.OneTime(suite.Expand([32]byte(key), 64, labelA))
}

// TestStream compares with the keystream of the bare cipher.
func TestStream(t *testing.T) {
	key := [32]byte{1, 2, 3}
	for _, n := range []int{0, 1, 63, 64, 65, 3000} {
		c, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
		if err != nil {
			t.Fatal(err)
		}
		c.SetCounter(1)
		want := make([]byte, n)
		c.XORKeyStream(want, want)
		for _, dst := range [][]byte{[]byte("dst"), append(make([]byte, 0, n+100), "dst"...)} {
			if got := suite.Stream(dst, n, key); string(got[:3]) != "dst" || !bytes.Equal(got[3:], want) {
				t.Errorf("%d bytes: another stream", n)
			}
		}
	}
}

// TestExpand holds Derive to be the two halves of HKDF.
func TestExpand(t *testing.T) {
	secret, salt := []byte("secret"), []byte("salt")
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		t.Fatal(err)
	}
	got := suite.Expand([32]byte(prk), 77, labelA, []byte("x"))
	if !bytes.Equal(got, suite.Derive(secret, salt, 77, labelA, []byte("x"))) {
		t.Error("differs from HKDF")
	}
	if !bytes.HasPrefix(got, suite.Expand([32]byte(prk), 40, labelA, []byte("x"))) {
		t.Error("a shorter one is not its beginning")
	}
}

func TestCiphers(t *testing.T) {
	key, other, ad := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), []byte("ad")
	for name, c := range ciphers {
		pt := []byte("plaintext")
		ct := c.seal([]byte("dst"), key, ad, pt)
		if string(ct[:3]) != "dst" || len(ct) != 3+len(pt)+c.overhead {
			t.Fatalf("%s: %d bytes", name, len(ct))
		}
		ct = ct[3:]
		got, err := c.open([]byte("dst"), key, ad, ct)
		if err != nil || string(got) != "dstplaintext" {
			t.Errorf("%s: control: %q, %v", name, got, err)
		}
		if fresh := !bytes.Equal(ct, c.seal(nil, key, ad, pt)); fresh != c.fresh {
			t.Errorf("%s: two ciphertexts differ: %v", name, fresh)
		}
		for i := range ct {
			bad := bytes.Clone(ct)
			bad[i] ^= 1
			if _, err := c.open(nil, key, ad, bad); !errors.Is(err, suite.ErrOpen) {
				t.Fatalf("%s: byte %d flipped: %v", name, i, err)
			}
		}
		for i := range len(ct) {
			if _, err := c.open(nil, key, ad, ct[:i]); !errors.Is(err, suite.ErrOpen) {
				t.Fatalf("%s: %d bytes: %v", name, i, err)
			}
		}
		if _, err := c.open(nil, other, ad, ct); !errors.Is(err, suite.ErrOpen) {
			t.Errorf("%s: other key: %v", name, err)
		}
		if _, err := c.open(nil, key, nil, ct); !errors.Is(err, suite.ErrOpen) {
			t.Errorf("%s: other associated data: %v", name, err)
		}
	}
}

func TestRandom(t *testing.T) {
	var a, b [32]byte
	suite.Random(a[:])
	suite.Random(b[:])
	if a == b {
		t.Error("two draws are equal")
	}
}

func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{1}, 32)
	for _, c := range ciphers {
		f.Add(c.seal(nil, key, nil, []byte("x")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, c := range ciphers {
			pt, err := c.open(nil, key, nil, b)
			if err == nil && len(pt)+c.overhead != len(b) {
				t.Fatalf("%s: %d bytes out of %d", name, len(pt), len(b))
			}
			if err == nil && !c.fresh && !bytes.Equal(c.seal(nil, key, nil, pt), b) {
				t.Fatalf("%s: two ciphertexts of one plaintext", name)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte("c"), []byte("d"))
	f.Fuzz(func(t *testing.T, a, b, c, d []byte) {
		same := bytes.Equal(a, c) && bytes.Equal(b, d)
		if bytes.Equal(suite.Frame(labelA, a, b), suite.Frame(labelA, c, d)) != same {
			t.Fatal("frames and fields disagree")
		}
	})
}

func BenchmarkSeal1K(b *testing.B) {
	key, pt := bytes.Repeat([]byte{1}, 32), make([]byte, 1024)
	dst := make([]byte, 0, len(pt)+suite.SealOverhead)
	b.ReportAllocs()
	for b.Loop() {
		suite.Seal(dst, key, nil, pt)
	}
}

func BenchmarkMAC(b *testing.B) {
	key := bytes.Repeat([]byte{1}, 32)
	b.ReportAllocs()
	for b.Loop() {
		suite.MAC(key, labelA, key)
	}
}

func BenchmarkStream(b *testing.B) {
	dst := make([]byte, 0, 2048)
	b.SetBytes(1086)
	b.ReportAllocs()
	for b.Loop() {
		suite.Stream(dst, 1086, [32]byte{})
	}
}

// No nonce comes twice, also when those that were drawn are used up.
func TestBoxesNonces(t *testing.T) {
	var b suite.Boxes
	seen := map[string]bool{}
	for range 1000 {
		seen[string(b.Seal(nil, make([]byte, 32), nil, nil)[:24])] = true
	}
	if len(seen) != 1000 {
		t.Fatalf("%d different nonces in 1000 boxes", len(seen))
	}
}
