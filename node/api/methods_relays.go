package api

import "context"

// The states of a [Mailbox].
const (
	MailboxWanted = "wanted" // it is being made
	MailboxOK     = "ok"
	MailboxDown   = "down" // the relay doesn't answer, or refuses
	// It was given up: contacts are told, it is emptied, and then deleted.
	MailboxLeaving = "leaving"
)

// Mailbox is a relay at which mail for this profile waits.
type Mailbox struct {
	Peer   string       `json:"peer"`
	Addrs  List[string] `json:"addrs"`
	State  string       `json:"state"`
	Why    string       `json:"why"`    // of MailboxDown
	Live   uint64       `json:"live"`   // bytes that waited when it was last looked
	Quota  uint64       `json:"quota"`  // bytes that may wait
	Faults uint32       `json:"faults"` // how often the relay has lost mail
}

func (c *conn) addRelay(ctx context.Context, params []byte) (any, error) {
	var p struct {
		Addrs OneOrMany `json:"addr"`
		Token string    `json:"token"`
	}
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if len(p.Addrs) == 0 {
		return nil, Errorf(CodeUsage, "the address of the relay is missing")
	}
	m, err := c.Daemon.AddRelay(ctx, p.Addrs, p.Token)
	return struct {
		Mailbox Mailbox `json:"mailbox"`
	}{m}, err
}

func (c *conn) removeRelay(ctx context.Context, params []byte) (any, error) {
	var p struct {
		Peer string `json:"peer"`
	}
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	return struct{}{}, c.Daemon.RemoveRelay(ctx, p.Peer)
}

func (c *conn) mailboxes(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Mailboxes(ctx)
	return struct {
		Mailboxes List[Mailbox] `json:"mailboxes"`
	}{all}, err
}
