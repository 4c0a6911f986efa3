package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"rushlight/node/api"
	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	protocol "rushlight/protocol/mailbox"
	"rushlight/protocol/wire"
	"rushlight/storage/shelf"
)

// relayFile is the configuration file of a relay, as docs/relay.md explains it.
type relayFile struct {
	Dir      string   `toml:"dir"`
	KeyFile  string   `toml:"key_file"`
	Listen   []string `toml:"listen"`
	Announce []string `toml:"announce"`
	Status   string   `toml:"status"`

	DHT       bool     `toml:"dht"`
	Bootstrap []string `toml:"bootstrap"`

	Hosting       string   `toml:"hosting"`
	HostEffort    uint32   `toml:"host_effort"`
	Mailboxes     []string `toml:"mailboxes"`
	RequestEffort uint32   `toml:"request_effort"`
	RequestSlots  int      `toml:"request_slots"`

	TTLDays    uint8  `toml:"ttl_days"`
	LeaseDays  uint16 `toml:"lease_days"`
	QuotaMiB   uint64 `toml:"quota_mib"`
	DiskCapMiB int64  `toml:"disk_cap_mib"`
	MinFreeMiB int64  `toml:"min_free_mib"`
}

// relayDefaults is what a file that says nothing means.
func relayDefaults() relayFile {
	return relayFile{
		Status: "127.0.0.1:9464", Hosting: "open", HostEffort: 1024, RequestEffort: 64, RequestSlots: 64,
		DHT: true, TTLDays: 30, LeaseDays: 90, QuotaMiB: 32, DiskCapMiB: 10 << 10, MinFreeMiB: 512,
	}
}

var hostings = map[string]protocol.Hosting{
	"open": protocol.HostOpen, "work": protocol.HostWork, "token": protocol.HostToken, "list": protocol.HostList,
}

// relayConfig reads a configuration file. A key that isn't known is refused:
// it would be a limit that the operator believes in and the relay doesn't.
func (a *app) relayConfig(path string) (mailbox.RelayConfig, error) {
	f := relayDefaults()
	if path != "" {
		meta, err := toml.DecodeFile(path, &f)
		if parse := new(toml.ParseError); errors.As(err, parse) {
			return mailbox.RelayConfig{}, api.Errorf(api.CodeUsage, "the configuration is not valid in line %d: %s", parse.Position.Line, parse.Message)
		}
		if err != nil {
			return mailbox.RelayConfig{}, api.Errorf(api.CodeUsage, "the configuration can't be read: %v", bareFile(err))
		}
		if unknown := meta.Undecoded(); len(unknown) > 0 {
			return mailbox.RelayConfig{}, api.Errorf(api.CodeUsage, "the configuration has a key that isn't known: %s", unknown[0]).
				WithHint("docs/relay.md lists all keys")
		}
	}
	if f.Dir == "" {
		if a.dirErr != nil {
			return mailbox.RelayConfig{}, a.dirErr
		}
		f.Dir = filepath.Join(a.dir, relayDir)
	}
	return f.check()
}

// relayDir is where a relay without a configuration keeps its files, in the
// profile directory.
const relayDir = "relay"

// check turns a file into what the relay takes.
func (f relayFile) check() (c mailbox.RelayConfig, err error) {
	bad := func(format string, args ...any) (mailbox.RelayConfig, error) {
		return mailbox.RelayConfig{}, api.Errorf(api.CodeUsage, "the configuration is not valid: "+format, args...)
	}
	hosting, ok := hostings[f.Hosting]
	switch {
	case !ok:
		return bad("hosting must be open, work, token or list")
	case f.TTLDays < 1 || f.TTLDays > 90:
		return bad("ttl_days must be 1 to 90")
	case f.LeaseDays < uint16(f.TTLDays) || f.LeaseDays > 3650:
		return bad("lease_days must be ttl_days to 3650")
	case f.QuotaMiB < 1 || f.QuotaMiB > 1<<20:
		return bad("quota_mib must be 1 to 1048576")
	case f.RequestSlots < 1 || f.RequestSlots > 256:
		return bad("request_slots must be 1 to 256")
	case f.HostEffort == 0 || f.RequestEffort == 0:
		return bad("host_effort and request_effort must be at least 1")
	case f.DiskCapMiB < minDiskCap:
		return bad("disk_cap_mib must be at least %d", minDiskCap)
	case f.MinFreeMiB < 64:
		return bad("min_free_mib must be at least 64")
	case len(f.Mailboxes) > 0 && hosting != protocol.HostList:
		return bad("mailboxes are listed, but hosting is not list")
	}
	if f.Status != "" {
		if at, err := netip.ParseAddrPort(f.Status); err != nil || !at.Addr().IsLoopback() {
			return bad("status must be an address on loopback, such as 127.0.0.1:9464, or empty")
		}
	}
	for _, l := range f.Listen {
		if !canListen(l) {
			return bad("listen has an address that can't be listened on; write it like /ip4/0.0.0.0/udp/4001/quic-v1")
		}
	}
	bootstrap, err := host.ParsePeers(f.Bootstrap)
	if err != nil {
		return bad("bootstrap has an address that can't be read; write it like /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3…")
	}
	listed := map[[32]byte]bool{}
	for _, m := range f.Mailboxes {
		key, err := wire.DecodeText(m)
		if err != nil || len(key) != 32 {
			return bad("mailboxes has a key that is none")
		}
		listed[[32]byte(key)] = true
	}
	c = mailbox.RelayConfig{
		Dir: f.Dir, KeyFile: f.KeyFile, Listen: f.Listen, Announce: f.Announce, Status: f.Status,
		Keeper: mailbox.Config{
			Hosting: hosting, HostEffort: f.HostEffort, LaneEffort: f.RequestEffort,
			Allow: func(owner [32]byte) bool { return listed[owner] },
			Quota: f.QuotaMiB << 20, Lane: uint16(f.RequestSlots), TTL: f.TTLDays,
		},
		Shelf: shelf.Options{
			Quota: f.QuotaMiB << 20, Lane: f.RequestSlots, TTL: f.TTLDays, Lease: f.LeaseDays,
			DiskCap: f.DiskCapMiB << 20, MinFree: f.MinFreeMiB << 20,
			// A small relay has a small database.
			MemTableSize: min(8<<20, max(4<<20, f.DiskCapMiB<<20/256)), Young: min(256<<20, f.DiskCapMiB<<20/32),
		},
	}
	if f.DHT {
		c.Beside = func(ctx context.Context, h *host.Host) error {
			return discovery.ServeTable(ctx, h, bootstrap, slog.New(slog.DiscardHandler))
		}
	}
	return c, nil
}

// minDiskCap is what the database itself may need for a while, twice.
const minDiskCap = 256
