package api

import (
	"encoding/json"
	"strconv"
	"time"
)

// Self is this profile: {"account","device","fingerprint","uuid","peer"}.
type Self struct {
	Account     string `json:"account"`     // rl1…
	Device      string `json:"device"`      // this device's id
	Fingerprint string `json:"fingerprint"` // of the account key, for people to compare
	UUID        string `json:"uuid"`        // stands for the account where a UUID is wanted
	Peer        string `json:"peer"`        // libp2p peer id of this device
	Name        string `json:"name"`        // the name claimed in invites; may be empty
}

// Status is how the daemon is doing.
type Status struct {
	Ready        bool         `json:"ready"`
	Reachability string       `json:"reachability"` // unknown, public, relayed or private
	Addrs        List[string] `json:"addrs"`        // full multiaddrs ending in /p2p/<peer>
	Peers        int          `json:"peers"`        // connected peers
	DHT          DHTStatus    `json:"dht"`
	Relays       List[Relay]  `json:"relays"`
	Outbox       int          `json:"outbox"` // messages not yet delivered
	Bytes        Traffic      `json:"bytes"`  // network traffic since start
	CPU          float64      `json:"cpu"`    // processor seconds used since start
	Disk         int64        `json:"disk"`   // bytes used by the profile
	Uptime       float64      `json:"uptime"` // seconds since start
	Contacts     int          `json:"contacts"`
	Unread       int          `json:"unread"`
	Version      string       `json:"version"`
	Locked       bool         `json:"locked,omitempty"` // the keys are forgotten until unlock

	Text        string           `json:"text"`       // how it is connected, in words
	Network     Network          `json:"network"`    // the same in numbers, as the event has it
	Why         string           `json:"why"`        // why that is the reachability, in words
	WhyCode     string           `json:"whyCode"`    // the same as one of a few words that stay
	Transports  List[string]     `json:"transports"` // quic, tcp, websocket, circuit, or socks
	Day         Usage            `json:"day"`        // the last 24 hours, or since start if that is less
	Idle        IdleStatus       `json:"idle"`       // what the node spends when nobody says anything
	Connections List[Connection] `json:"connections"`
	Erasure     Erasure          `json:"erasure"`
	Clock       Clock            `json:"clock"`
}

// Erasure says how surely what has expired is gone from the disk.
type Erasure struct {
	Level string `json:"level"` // A, B or C
	Why   string `json:"why"`
}

// Clock says whether the system's clock is believed. While it is in doubt, what
// has expired is hidden and not yet destroyed.
type Clock struct {
	Doubt bool   `json:"doubt"`
	Hint  string `json:"hint"` // what to do about it
}

// Usage is what was used in some time.
type Usage struct {
	In    int64   `json:"in"`    // bytes
	Out   int64   `json:"out"`   // bytes
	CPU   float64 `json:"cpu"`   // seconds
	Hours float64 `json:"hours"` // how long that is
}

// IdleStatus is the traffic that serves no message: staying reachable, being
// found, finding others.
type IdleStatus struct {
	Cap   int64  `json:"cap"`   // bytes a day, both ways; 0 is no limit
	Used  int64  `json:"used"`  // bytes in the last 24 hours, estimated
	State string `json:"state"` // ok, sparing or spent
}

// Connection is one connection to a peer.
type Connection struct {
	Peer      string `json:"peer"`
	Transport string `json:"transport"` // quic, tcp, websocket, circuit or onion
	Relayed   bool   `json:"relayed"`   // it goes through a relay
	Relay     bool   `json:"relay"`     // the peer is a relay in use
	Inbound   bool   `json:"inbound"`
	Since     Time   `json:"since"`
}

// DHTStatus is the state of the distributed hash table client.
type DHTStatus struct {
	Enabled bool `json:"enabled"`
	Peers   int  `json:"peers"` // nodes of it, estimated; 0 before it was asked
}

// Relay is one relay in use and its health.
type Relay struct {
	Peer      string `json:"peer"`
	State     string `json:"state"`     // ok, slow, full, down or spare
	Transport string `json:"transport"` // of the connection to it; empty without
	Took      int64  `json:"took"`      // ms that asking it took the last time
	Failed    int    `json:"failed"`    // attempts in vain since it last worked
	Until     Time   `json:"until"`     // when its promise ends, unless renewed
}

// Traffic counts bytes.
type Traffic struct {
	In  int64 `json:"in"`
	Out int64 `json:"out"`
}

// Invite is a link that lets others add this account.
type Invite struct {
	Link    string `json:"link"`
	Expires Time   `json:"expires"`
}

// States of a [Contact].
const (
	ContactPending  = "pending"
	ContactApproved = "approved"
	ContactBlocked  = "blocked"
	ContactRemoved  = "removed" // in an event only
)

// Contact is C of the interface.
type Contact struct {
	ID         string `json:"id"`         // rl1…
	UUID       string `json:"uuid"`       //
	Name       string `json:"name"`       // what the contact claims to be called
	Petname    string `json:"petname"`    // what the reader calls them
	State      string `json:"state"`      // pending, approved or blocked
	Verified   bool   `json:"verified"`   //
	KeyChanged bool   `json:"keyChanged"` // sending is blocked until verified again
	Request    bool   `json:"request"`    // waits for this person's approval
	Awaits     bool   `json:"awaits"`     // decides about this person, and hasn't approved as far as is known

	// Message is what somebody who waits for this person's approval says.
	Message string `json:"message,omitempty"`

	// NoRoom: none of the relays where mail waits for them has room. What is
	// sent waits on this device until one has.
	NoRoom bool `json:"noRoom,omitempty"`
}

// Shown is what to call the contact on a screen: the petname, else the claimed
// name, else the id.
func (c Contact) Shown() string {
	switch {
	case c.Petname != "":
		return c.Petname
	case c.Name != "":
		return c.Name
	}
	return c.ID
}

// Verification is the safety number with one contact.
type Verification struct {
	Number   string `json:"number"` // 60 digits
	Verified bool   `json:"verified"`
	QR       string `json:"qr"` // what the QR code holds
}

// Message states, in the order in which they are reached; StateFailed apart.
const (
	StateQueued    = "queued"
	StateStored    = "stored"
	StateDelivered = "delivered"
	StateRead      = "read"
	StateFailed    = "failed"
)

// Sent is the outcome of sending one message to one contact.
type Sent struct {
	ID        string `json:"id"`        // 32 lower-case hex digits
	State     string `json:"state"`     // at least queued
	Timestamp int64  `json:"timestamp"` // ms since 1970; strictly increasing per account

	// Keeps says of each file that was sent as it is what that tells of who made
	// it; only with original.
	Keeps []Keeps `json:"keeps,omitempty"`

	To     string `json:"-"` // account id of the recipient
	ToUUID string `json:"-"`
}

// Keeps is what a file tells beside what is seen and heard.
type Keeps struct {
	File  int          `json:"file"` // which of the message, from 0
	Name  string       `json:"name"`
	Kinds List[string] `json:"kinds"` // place, time, device, software, author, text, thumbnail, name, other, unknown
}

// Message is M of the interface; every key is always present.
type Message struct {
	ID           string         `json:"id"`
	Conversation string         `json:"conversation"` // account id of the other side
	From         string         `json:"from"`         // account id
	FromName     string         `json:"fromName"`
	Mine         bool           `json:"mine"`
	Sent         Time           `json:"sent"`
	Received     Time           `json:"received"` // null on one's own
	Kind         string         `json:"kind"`     // text
	Text         string         `json:"text"`
	State        string         `json:"state"`
	Expires      Time           `json:"expires"` // gone from then on
	Burn         Duration       `json:"burn"`    // gone so long after it was seen
	BurnsAt      Time           `json:"burnsAt"` // it was seen, and burns then
	ReplyTo      NullString     `json:"replyTo"`
	Edited       bool           `json:"edited"`
	Deleted      bool           `json:"deleted"`
	Reactions    List[Reaction] `json:"reactions"`
	Files        List[File]     `json:"files"`
	Preview      *Preview       `json:"preview"`
	Waiting      bool           `json:"waiting"` // earlier messages have not arrived yet
	Quote        *Quote         `json:"quote"`   // of the message it answers, while that is there
	Forwarded    bool           `json:"forwarded"`
	Styles       List[Style]    `json:"styles"`
	Mentions     List[Mention]  `json:"mentions"`
	Timer        *Timers        `json:"timer"` // of kind timer: how long later messages live
}

// Kinds of messages.
const (
	KindText  = "text"  // an ordinary message
	KindFile  = "file"  // files, with or without a text
	KindTimer = "timer" // says how long later messages live
	KindNewer = "newer" // one that needs a newer version to be shown
)

// Quote is the beginning of the message that another one answers.
type Quote struct {
	From     string `json:"from"`
	FromName string `json:"fromName"`
	Text     string `json:"text"`
}

// Style is a part of a text that looks otherwise, in UTF-16 code units.
type Style struct {
	Start  uint32 `json:"start"`
	Length uint32 `json:"length"`
	Style  string `json:"style"`
}

// The styles.
const (
	StyleBold          = "bold"
	StyleItalic        = "italic"
	StyleStrikethrough = "strikethrough"
	StyleMonospace     = "monospace"
	StyleSpoiler       = "spoiler"
)

// Mention is a part of a text that names an account, in UTF-16 code units.
type Mention struct {
	Start   uint32 `json:"start"`
	Length  uint32 `json:"length"`
	Account string `json:"account"`
}

// Reaction is one emoji by one account.
type Reaction struct {
	Emoji string `json:"emoji"`
	From  string `json:"from"`
}

// File is an attachment.
type File struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"type"` // what it is, as far as its content is here
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Have   int64  `json:"have"` // bytes on this device

	SaveAs    string `json:"saveAs"`              // a name that is safe on every system
	Voice     *Voice `json:"voice,omitempty"`     // of a recording
	Claimed   string `json:"claimed,omitempty"`   // the type its author gave it, when that is another
	State     string `json:"state"`               // as of a transfer
	Thumbnail string `json:"thumbnail,omitempty"` // a small JPEG, in base64
}

// Event types that have a Seq.
const (
	EventMessage = "message" // a message arrived, or was sent by this account
	EventState   = "state"   // one of one's own messages changed its state
	EventContact = "contact" // a contact was added or changed
	EventRequest = "request" // somebody asks to be approved
	EventExpired = "expired" // the message of this event is gone

	EventEdit     = "edit"     // a message has another text
	EventDelete   = "delete"   // its author took a message back from everybody
	EventReaction = "reaction" // somebody put an emoji under a message, or took it back
	EventPlaced   = "placed"   // a message that waited for earlier ones has its place
)

// Types of events without Seq: they aren't replayed.
const (
	EventNetwork = "network"
	EventTyping  = "typing" // somebody is writing

	EventTransfer = "transfer" // a file begins, goes on or ends to come or go
)

// Event is one thing that happened. Exactly one payload is set, the one named
// by Type.
type Event struct {
	Seq  uint64 `json:"seq,omitzero"` // durable and dense; 0 when not in the log
	At   Time   `json:"at"`
	Type string `json:"type"`

	Message *Message     `json:"message,omitempty"`
	State   *StateChange `json:"state,omitempty"`
	Contact *Contact     `json:"contact,omitempty"`
	Request *Contact     `json:"request,omitempty"`
	Expired *Expired     `json:"expired,omitempty"`
	Edit    *Message     `json:"edit,omitempty"` // as it is now
	Delete  *Deleted     `json:"delete,omitempty"`

	Reaction *ReactionChange `json:"reaction,omitempty"`
	Placed   *Message        `json:"placed,omitempty"` // as it is now

	Network *Network `json:"network,omitempty"`
	Typing  *Typing  `json:"typing,omitempty"`

	Transfer *Transfer `json:"transfer,omitempty"`
}

// StateChange says that a message has reached a state.
type StateChange struct {
	ID           string `json:"id"`
	Conversation string `json:"conversation"`
	State        string `json:"state"`
}

// Expired says that a message is gone.
type Expired struct {
	ID           string `json:"id"`
	Conversation string `json:"conversation"`
}

// Deleted says that a message was taken back.
type Deleted struct {
	ID           string `json:"id"`
	Conversation string `json:"conversation"`
	From         string `json:"from"`
}

// ReactionChange says what somebody's reaction to a message is now.
type ReactionChange struct {
	ID           string `json:"id"`
	Conversation string `json:"conversation"`
	From         string `json:"from"`
	Emoji        string `json:"emoji"` // empty when it was taken back
}

// Typing says who is writing.
type Typing struct {
	Conversation string `json:"conversation"`
	From         string `json:"from"`
}

// Network is the state of the network in short.
type Network struct {
	Reachability string `json:"reachability"`
	Peers        int    `json:"peers"`
	Relays       int    `json:"relays"` // where mail waits or that pass on calls
	Text         string `json:"text"`   // the same in words
}

// CheckReport is the outcome of checking the store.
type CheckReport struct {
	OK       bool             `json:"ok"`
	Checked  map[string]int   `json:"checked"` // how many records of each kind
	Problems List[CheckFault] `json:"problems"`
}

// CheckFault is one broken invariant.
type CheckFault struct {
	Where string `json:"where"` // which records
	What  string `json:"what"`
}

// Time is an instant in ms since 1970; in JSON it is RFC 3339 in UTC, and null
// when zero.
type Time int64

// TimeOf converts a time.Time; the zero time gives 0.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// Std gives the time.Time, in UTC; 0 gives the zero time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(timeLayout)+2)
	b = append(b, '"')
	b = t.Std().AppendFormat(b, timeLayout)
	return append(b, '"'), nil
}

// timeLayout is RFC 3339 with exactly three digits of a second, so that
// strings sort as times do.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Time) UnmarshalJSON(b []byte) error {
	var s *time.Time
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = 0
	if s != nil {
		*t = TimeOf(*s)
	}
	return nil
}

// Duration is a time.Duration; in JSON it is a string such as "30s", and null
// when zero. A number is read as seconds.
type Duration time.Duration

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) {
	if d == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendQuote(nil, FormatDuration(time.Duration(d))), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*d = 0
	case float64:
		if v < 0 || v > float64(maxDuration/time.Second) {
			return errBadDuration
		}
		*d = Duration(v * float64(time.Second))
	case string:
		p, err := ParseDuration(v)
		if err != nil {
			return err
		}
		*d = Duration(p)
	default:
		return errBadDuration
	}
	return nil
}

// NullString is a string that is null in JSON when empty.
type NullString string

// MarshalJSON implements [json.Marshaler].
func (s NullString) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// List is a slice that is [] in JSON when nil.
type List[T any] []T

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
