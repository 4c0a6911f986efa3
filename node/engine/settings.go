package engine

import (
	"context"
	"fmt"

	"rushlight/storage/record"
)

// Settings are what the person wants of the whole profile.
func (e *Engine) Settings() (s record.Settings, err error) {
	err = e.view(func(t *txn) error {
		s, err = t.settings()
		return err
	})
	return s, err
}

// SetSettings changes them by change, and returns what they are then.
func (e *Engine) SetSettings(ctx context.Context, change func(*record.Settings)) (s record.Settings, err error) {
	err = e.do(ctx, 256, func(t *txn) error {
		if s, err = t.settings(); err != nil {
			return err
		}
		change(&s)
		return t.put(record.SettingsKey(), s.Marshal())
	})
	return s, err
}

func (t *txn) settings() (record.Settings, error) {
	b, err := t.get(record.SettingsKey())
	if err != nil || b == nil {
		return record.Settings{}, err
	}
	s, err := record.ParseSettings(b)
	if err != nil {
		return record.Settings{}, fmt.Errorf("reading the settings: %w", err)
	}
	return *s, nil
}
