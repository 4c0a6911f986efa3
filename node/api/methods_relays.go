package api

import "context"

// The states of a [Mailbox].
const (
	MailboxWanted = "wanted" // it is being made
	MailboxOK     = "ok"
	MailboxDown   = "down" // the relay doesn't answer, or refuses
	MailboxLied   = "lied" // there is proof; contacts are told of others
	// It was given up: contacts are told, it is emptied, and then deleted.
	MailboxLeaving = "leaving"
)

// Mailbox is a relay at which mail for this profile waits.
type Mailbox struct {
	Peer   string       `json:"peer"`
	Key    string       `json:"key"` // of the mailbox, for an operator who lists those that may be
	Addrs  List[string] `json:"addrs"`
	State  string       `json:"state"`
	Why    string       `json:"why"`    // of MailboxDown
	Live   uint64       `json:"live"`   // bytes that waited when it was last looked
	Quota  uint64       `json:"quota"`  // bytes that may wait
	Faults uint32       `json:"faults"` // how often the relay has lost mail

	Refused uint32 `json:"refused"` // deposits that it had no room for: they wait with their senders
	Crowded uint32 `json:"crowded"` // requests of strangers that others took the place of
	FullAt  Time   `json:"fullAt"`  // when one of these was last seen to have grown
}

type addRelayParams struct {
	Addrs OneOrMany `json:"addr" rpc:"required"`
	Token string    `json:"token"`
}

type addRelayResult struct {
	Mailbox Mailbox `json:"mailbox"`
}

func (c *conn) addRelay(ctx context.Context, params []byte) (any, error) {
	var p addRelayParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if len(p.Addrs) == 0 {
		return nil, Errorf(CodeUsage, "the address of the relay is missing")
	}
	m, err := c.Daemon.AddRelay(ctx, p.Addrs, p.Token)
	return addRelayResult{m}, err
}

type removeRelayParams struct {
	Peer string `json:"peer" rpc:"required"`
}

func (c *conn) removeRelay(ctx context.Context, params []byte) (any, error) {
	var p removeRelayParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if p.Peer == "" {
		return nil, Errorf(CodeUsage, "say which relay")
	}
	return none{}, c.Daemon.RemoveRelay(ctx, p.Peer)
}

type mailboxesResult struct {
	Mailboxes List[Mailbox] `json:"mailboxes"`
}

func (c *conn) mailboxes(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Mailboxes(ctx)
	return mailboxesResult{all}, err
}
