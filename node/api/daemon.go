// Package api is the local door to a running daemon: the JSON shapes that
// people's scripts rely on, the JSON-RPC 2.0 method table, the unix socket it
// is served on, and the client that the command line uses.
//
// It is not the daemon. Everything it knows about messages, contacts and the
// network comes from a [Daemon]; it decodes requests, checks sizes, passes them
// on and encodes what comes back.
//
// It promises that only the user who owns the profile directory (or root) can
// speak to the daemon, that requests from one connection enter the daemon in
// the order they were written, that memory per connection is bounded, and that
// an error carries the same stable code on every door.
package api

import (
	"context"
	"io"
	"math"
	"time"

	"rushlight/protocol/message"
)

// Daemon is what the doors need from the running node. Every method may be
// called from many goroutines at once. Errors are an [*Error], or wrap one;
// anything else is reported with the code "internal".
type Daemon interface {
	// Self tells who this profile is.
	Self(ctx context.Context) (Self, error)

	// SetName changes the name that contacts see until they choose one.
	SetName(ctx context.Context, name string) (Self, error)

	// Status tells how the daemon is doing. It must not wait for the network.
	Status(ctx context.Context) (Status, error)

	// CreateInvite makes a link for others to add this account.
	CreateInvite(ctx context.Context, req InviteRequest) (Invite, error)

	// Add accepts an invite: CodeInviteDamaged, CodeInviteExpired,
	// CodeInviteUsed, CodeInviteOwn.
	Add(ctx context.Context, req AddRequest) (Contact, error)

	// Contacts lists all contacts, in the order of their shown names.
	Contacts(ctx context.Context) ([]Contact, error)

	// Find returns the contact that who means; see Rename.
	Find(ctx context.Context, who string) (Contact, error)

	// Rename sets the petname; an empty one removes it. who is a petname, an
	// account id, a UUID or a unique prefix of at least eight characters of an
	// id, here and everywhere below: CodeUnknownContact,
	// CodeAmbiguousContact, CodeMistypedID.
	Rename(ctx context.Context, who, petname string) (Contact, error)

	// Remove forgets the contact and the conversation.
	Remove(ctx context.Context, who string) error

	// Approve makes a contact of somebody who asked; Decline forgets them.
	// Nobody but a pending contact can be declined.
	Approve(ctx context.Context, who string) (Contact, error)
	Decline(ctx context.Context, who string) error

	// Block takes nothing more from a contact and sends it nothing, until
	// Unblock. The contact is not told.
	Block(ctx context.Context, who string) (Contact, error)
	Unblock(ctx context.Context, who string) (Contact, error)

	// Verify shows the safety number, or compares it with req.Number and marks
	// the contact verified when equal. A number that does not match is
	// CodeNotVerified.
	Verify(ctx context.Context, req VerifyRequest) (Verification, error)

	// AddRelay wants a mailbox at a relay, which has one peer id and perhaps
	// several addresses; token is what its operator gave, in hex, or empty.
	// Contacts are told once the relay has made it.
	AddRelay(ctx context.Context, addrs []string, token string) (Mailbox, error)

	// RemoveRelay gives up the mailbox at the relay with a peer id.
	RemoveRelay(ctx context.Context, peer string) error

	// Mailboxes lists the relays at which mail for this profile waits.
	Mailboxes(ctx context.Context) ([]Mailbox, error)

	// Send commits the message to the store and returns; the state is then at
	// least queued. A repeated IdempotencyKey returns what the first call did.
	Send(ctx context.Context, req SendRequest) (Sent, error)

	// Wait blocks until the message has reached the state or a later one
	// (queued < stored < delivered < read), has failed, or ctx ends. It returns
	// the state reached: CodeUnknownMessage, CodeTimeout.
	Wait(ctx context.Context, id, state string) (string, error)

	// Read returns messages of one conversation, oldest first, and marks those
	// of others read unless req.Peek.
	Read(ctx context.Context, req ReadRequest) ([]Message, error)

	// Message returns one message: CodeUnknownMessage.
	Message(ctx context.Context, id string) (Message, error)

	// MarkRead marks messages of others read: CodeUnknownMessage if none of
	// them is there.
	MarkRead(ctx context.Context, ids []string) error

	// SentAt finds the message that from, an account, sent in the conversation
	// with a contact at a time: CodeUnknownMessage.
	SentAt(ctx context.Context, who, from string, at Time) (Message, error)

	// Delete erases a message from this device alone: CodeUnknownMessage.
	Delete(ctx context.Context, id string) error

	// Unsend takes a message of one's own back from everybody, Edit gives it
	// another text: CodeUnknownMessage, CodeNotYours, CodeUsage for one that
	// can't be changed.
	Unsend(ctx context.Context, id string) error
	Edit(ctx context.Context, req EditRequest) error

	// React puts an emoji under a message; an empty one takes it back.
	React(ctx context.Context, id, emoji string) error

	// Timer sets, and returns, how long later messages of a conversation live.
	Timer(ctx context.Context, req TimerRequest) (Timers, error)

	// Chats lists the conversations, pinned ones first, then the newest; Chat
	// changes, and returns, how this person wants one.
	Chats(ctx context.Context) ([]Chat, error)
	Chat(ctx context.Context, req ChatRequest) (Chat, error)

	// Search finds messages by what they say, the newest first.
	Search(ctx context.Context, req SearchRequest) ([]Message, error)

	// Draft keeps, and returns, what was begun to be written: empty for nothing.
	Draft(ctx context.Context, req DraftRequest) (Draft, error)

	// Typing tells a contact that something is being written, if both want that.
	Typing(ctx context.Context, who string) error

	// ConfirmClock says that the system's clock is right.
	ConfirmClock(ctx context.Context) error

	// Save fetches files of a message if they are not here, and writes them to
	// new files: CodeUnknownMessage, CodeExists, CodeFalseFile, CodeDiskFull.
	Save(ctx context.Context, req SaveRequest) ([]Saved, error)

	// Transfers lists the files that are on their way, or wait for that.
	Transfers(ctx context.Context) ([]Transfer, error)

	// CancelTransfer stops fetching a file, until somebody asks for it, and
	// deletes what has come of it.
	CancelTransfer(ctx context.Context, id string, file int) error

	// ResumeTransfer asks for a file that was cancelled, or that is too large to
	// be fetched unasked: CodeUnknownMessage, CodeFalseFile, CodeDiskFull.
	ResumeTransfer(ctx context.Context, id string, file int) error

	// Upload takes in a file to be sent, under the name that it has there, and
	// keeps it until it is sent, dropped, or the daemon ends: CodeUsage,
	// CodeBusy, CodeDiskFull, CodeFileTooLarge, and what r returned. A size that
	// isn't known is negative.
	Upload(ctx context.Context, name string, size int64, r io.Reader) (Upload, error)

	// DropUpload forgets a file that was taken in: CodeNoFile.
	DropUpload(ctx context.Context, id string) error

	// Attachment is a part of a file of a message that is here, of at most
	// length bytes: CodeUnknownMessage, CodeNotHere.
	Attachment(ctx context.Context, id string, file int, offset int64, length int) ([]byte, error)

	// Watch calls fn with every event whose Seq is greater than after, first
	// those in the log, then new ones as they happen, until ctx ends or fn
	// fails; it returns that error. started is called once, before the first
	// event, with the Seq of the newest event in the log (0: none), as soon as
	// after is known to be good; it may be nil. With after [FromNow] nothing is
	// replayed. If the log no longer reaches back to after, Watch returns
	// CodeGone with First set. fn may block for long (the reader is slow): no
	// lock is held while it runs.
	Watch(ctx context.Context, after uint64, started func(last uint64), fn func(Event) error) error

	// Look makes the preview of a link, which is not sent with it by itself:
	// CodeNoPreview, CodeNotAllowed when previews are off.
	Look(ctx context.Context, req LookRequest) (Preview, error)

	// Settings changes, and returns, what the person wants of the profile.
	Settings(ctx context.Context, req SettingsRequest) (Settings, error)

	// Check verifies every invariant of the store.
	Check(ctx context.Context) (CheckReport, error)
}

// FromNow given to Watch skips everything that has already happened.
const FromNow uint64 = math.MaxUint64

// MaxText is the longest text of a message, in bytes of UTF-8.
const MaxText = 48 << 10

// MaxPetname is the longest petname, in bytes of UTF-8.
const MaxPetname = 256

// MaxNote is the longest note on an invite, in bytes of UTF-8.
const MaxNote = 1024

// MaxRequest is the longest text with which somebody asks to be a contact, in
// characters.
const MaxRequest = message.MaxNote

// InviteRequest asks for an invite. The zero value is not valid: Uses is at
// least 1 and Expires is positive; the doors fill in the defaults.
type InviteRequest struct {
	Uses          int           // how many accounts may accept it
	Expires       time.Duration // from now
	NeedsApproval bool          // whoever accepts stays pending until approved
	Note          string        // for the inviter's own list; never leaves the device
}

// Defaults of [InviteRequest].
const (
	DefaultInviteUses    = 1
	DefaultInviteExpires = 7 * 24 * time.Hour
)

// AddRequest accepts an invite.
type AddRequest struct {
	Link    string // rushlight:…
	Petname string // empty: the contact's claimed name is shown
	Message string // for its maker, at most MaxRequest characters: with the request, or, if they don't decide first, as a message
	Replace bool   // the contact is known already: start over with a new session
}

// VerifyRequest asks for a safety number, or to compare it.
type VerifyRequest struct {
	Who    string
	Number string // empty: only show. Spaces are ignored.
}

// SendRequest is one text message to one contact.
type SendRequest struct {
	To             string
	Text           string // 1 to MaxText bytes of UTF-8, or none with Files; the doors have checked it
	Files          []Attachment
	Voice          *Voice // of the only file, when it is a recording; nil otherwise
	IdempotencyKey string // empty: none

	// Expires and Burn say how long the message lives. Nil is what the
	// conversation has, 0 is for ever.
	Expires, Burn *time.Duration

	ReplyTo string // id of the message it answers; empty: none
	Forward string // id of a message whose text is sent instead of Text
	// Forwarded marks Text as somebody else's.
	Forwarded bool
	Markdown  bool // Text has marks for styles
	Mentions  []MentionRequest
	Preview   *PreviewRequest // of a link in Text; nil: none

	// Entered, when not nil, is to be called once, as soon as the message's
	// place in the order of messages is fixed (it waits to be committed). The
	// doors use it to let the next message of the same connection follow, so
	// that many are committed together and none overtakes another.
	Entered func()
}

// ReadRequest asks for messages of one conversation.
type ReadRequest struct {
	Who    string
	Limit  int    // at most so many, the newest ones; 0: no limit
	Before string // id of a message; only what is older. Empty: up to the newest
	After  string // id of a message: instead, what is newer, the oldest of it
	Around string // id of a message: instead, it and what is before and after it
	Unread bool   // only messages of others that were not read yet
	Peek   bool   // leave them unread
}
