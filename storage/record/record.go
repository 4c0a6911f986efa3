// Package record is what one device keeps: the keys and the values of every
// family of records that the engine writes, and nothing else.
//
// It does not open a store and decides nothing. It promises that each value
// has one encoding, that a value which does not follow its layout is an error
// and never a half-filled structure, and that a key shows no account, device
// or conversation id: ids are replaced by pseudonyms before they reach a key.
// Every family is described in storage/FORMAT.md.
package record

import (
	"encoding/binary"

	"rushlight/storage"
)

// The families. A key starts with one of these bytes; numbers are never
// reused. 0x00–0x0f belong to package storage.
const (
	FamilySelf         = 0x10 // one record: this device's identity
	FamilyContact      = 0x11 // account pseudonym[16]
	FamilyInvite       = 0x12 // invite id[16]
	FamilyPrekey       = 0x13 // bundle hash[32]
	FamilyJoin         = 0x14 // account pseudonym[16]: an invite accepted, not yet answered
	FamilyAnswered     = 0x15 // hash of a first flight's envelope[32]
	FamilyNode         = 0x16 // one record: what the network side keeps
	FamilySettings     = 0x17 // one record: what the person wants of the profile
	FamilyAwaiting     = 0x18 // account pseudonym[16]: whether it approves of this one isn't known
	FamilySession      = 0x20 // account pseudonym[16] ‖ device pseudonym[16] ‖ session id[16]
	FamilyWindow       = 0x22 // device pseudonym[16]
	FamilyChain        = 0x23 // account pseudonym[16]
	FamilyRelay        = 0x24 // relay pseudonym[16]: a mailbox of this device
	FamilyPool         = 0x25 // relay pseudonym[16] ‖ class u8 [‖ batch u32]: stamps to give out
	FamilyGiven        = 0x26 // account pseudonym[16]: what a contact knows of the mailboxes
	FamilyPlaces       = 0x27 // account pseudonym[16]: where mail for a contact can be left
	FamilyPosted       = 0x28 // account pseudonym[16] ‖ outbox number u64: deposits of an entry
	FamilyAsked        = 0x29 // account pseudonym[16]: a request to the maker of an invite
	FamilyIssue        = 0x2a // one record: number of this device's set of relays
	FamilyLeft         = 0x2b // message id[16]: what lies of it at relays
	FamilyWithdrawal   = 0x2c // relay pseudonym[16] ‖ object[16] ‖ of the stamp[12]: to be deleted there
	FamilyRevoked      = 0x2d // relay pseudonym[16]: stamps to take back there
	FamilyDraft        = 0x2e // conversation pseudonym[16]: what was begun to be written
	FamilyReserve      = 0x2f // account pseudonym[16] [‖ number u32]: what there is to reach a contact with: bundles; stamps
	FamilyOutbox       = 0x30 // account pseudonym[16] ‖ sequence number u64
	FamilyConversation = 0x40 // conversation pseudonym[16]
	FamilyMessage      = 0x41 // conversation pseudonym[16] ‖ order u64 ‖ message id[16]
	FamilyMessageIndex = 0x42 // message id[16]
	FamilyIdempotency  = 0x43 // hash of the caller's key[16]
	FamilyWaiting      = 0x44 // missing parent id[16] ‖ message id[16]
	FamilyNumber       = 0x45 // conversation pseudonym[16] ‖ device pseudonym[16] ‖ seq u64
	FamilyDue          = 0x46 // unix milliseconds u64 ‖ message id[16]: when a message ends
	FamilyGrave        = 0x47 // conversation pseudonym[16] ‖ slot u16: message id of one that ended
	FamilyEdit         = 0x48 // message id[16]: its newer text
	FamilyReactions    = 0x49 // message id[16]: what people put under it
	FamilyHidden       = 0x4a // message id[16]: a message that isn't shown and waits for another
	FamilyAbout        = 0x4b // message id[16] ‖ id[16] of a message about it that is on its way
	FamilyChat         = 0x4c // conversation pseudonym[16]: how a person wants it
	FamilyFiles        = 0x4e // message id[16]: what is wanted of its files
	FamilyEvent        = 0x50 // sequence number u64
	FamilyCounter      = 0x51 // one record: the next event number
	FamilyDoubt        = 0x52 // one record, while the time is in doubt
	FamilyAhead        = 0x53 // device pseudonym[16]: how far this clock is ahead of a contact's
	FamilyPeer         = 0x60 // device pseudonym[16]: addresses that worked
	FamilyServer       = 0x61 // peer pseudonym[16]: nodes of the hash table
	FamilyOwner        = 0x62 // one record: the secret of this device's beacon
	FamilyFriend       = 0x63 // account pseudonym[16]: where a contact says it is
)

// Namer replaces an id by its pseudonym; *storage.Store and *storage.Tx are
// Namers.
type Namer interface {
	Pseudonym(label string, id []byte) [16]byte
}

func key(family byte, parts ...[]byte) storage.Key {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	k := make(storage.Key, 1, n)
	k[0] = family
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
