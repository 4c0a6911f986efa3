//go:build !linux

package storage

// Trim does nothing where there is no way to give mapped memory back.
func (s *Store) Trim() {}

// TrimTables does nothing here either.
func (s *Store) TrimTables() {}
