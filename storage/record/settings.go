package record

import (
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Settings are what a person wants of the whole profile. The zero value is how
// it begins.
type Settings struct {
	NoPreviews bool // links are never looked up
}

// SettingsKey is the key of the one [Settings].
func SettingsKey() storage.Key { return key(FamilySettings) }

// Marshal encodes s.
func (s *Settings) Marshal() []byte { return wire.NewWriter(nil).U8(1).Bool(s.NoPreviews).Out() }

// ParseSettings decodes [Settings].
func ParseSettings(b []byte) (*Settings, error) {
	r := wire.NewReader(b)
	version(r)
	s := &Settings{NoPreviews: r.Bool()}
	return s, r.Close()
}
