package api

// may says which tokens, beside those with the scope admin, may call a method.
type may uint8

const (
	reads   may = 1 << iota // those with the scope read
	sends                   // those with the scope send
	alone                   // of these, also those for one conversation; see confined
	signals                 // the compatible listener's clients
)

// route is a method of the table. The types of params and result are what the
// OpenRPC document says of it.
type route struct {
	call   method // nil for send, which has a turn to wait for
	may    may
	params any
	result any
	does   string
}

// table is the method table of all doors. Names and shapes that signal-cli has
// are as it has them. It is filled in init, because the methods refer to it.
var table map[string]route

func init() {
	table = map[string]route{
		"version": {(*conn).version, reads | sends | alone, none{}, versionResult{}, "The version of the program."},
		"id":      {(*conn).id, reads | sends, none{}, Self{}, "Who this profile is."},
		"status":  {(*conn).status, reads | sends, none{}, Status{}, "How the daemon is doing; also while the profile is locked."},
		"check":   {(*conn).check, reads, none{}, CheckReport{}, "Verifies every invariant of the store."},

		"invite":       {(*conn).invite, 0, inviteParams{}, Invite{}, "Makes a link by which others add this account."},
		"add":          {(*conn).add, 0, addParams{}, addResult{}, "Accepts an invite."},
		"contacts":     {(*conn).contacts, reads | alone, none{}, contactsResult{}, "Lists the contacts."},
		"listContacts": {(*conn).listContacts, reads | alone, listContactsParams{}, List[signalContact]{}, "Lists the contacts as signal-cli does."},
		"requests":     {(*conn).requests, reads, none{}, requestsResult{}, "Lists who asks to be approved."},
		"rename":       {(*conn).rename, 0, renameParams{}, contactResult{}, "Gives a contact a petname; an empty one removes it."},
		"remove":       {(*conn).remove, 0, removeParams{}, removeResult{}, "Forgets a contact and the conversation."},
		"approve":      {oneContact(Daemon.Approve), 0, whoParams{}, contactResult{}, "Makes a contact of somebody who asked."},
		"decline":      {(*conn).decline, 0, whoParams{}, declineResult{}, "Forgets somebody who asked."},
		"block":        {oneContact(Daemon.Block), signals, whoParams{}, contactResult{}, "Takes nothing more from a contact, who isn't told."},
		"unblock":      {oneContact(Daemon.Unblock), signals, whoParams{}, contactResult{}, "Undoes block."},
		"verify":       {(*conn).verify, 0, verifyParams{}, Verification{}, "Shows the safety number, or compares it and marks the contact verified."},

		"send":          {nil, sends | alone, sendParams{}, SendResult{}, "Sends a message. A repeated idempotencyKey gives what the first call gave."},
		"wait":          {(*conn).wait, reads | sends | alone, waitParams{}, waitResult{}, "Waits until a message has reached a state."},
		"read":          {(*conn).read, reads | alone, readParams{}, readResult{}, "Messages of a conversation, oldest first; marks them read unless peek."},
		"message":       {(*conn).message, reads | alone, messageIDParams{}, messageResult{}, "One message."},
		"markRead":      {(*conn).markRead, reads | alone, markReadParams{}, none{}, "Marks messages of others read: those that burn begin to, and receipts go out if wanted."},
		"search":        {(*conn).search, reads | alone, searchParams{}, searchResult{}, "Messages that have all words of a query, newest first."},
		"react":         {(*conn).react, sends | alone, reactParams{}, reactResult{}, "Puts an emoji under a message; an empty one takes it back."},
		"edit":          {(*conn).editMessage, sends | alone, editMessageParams{}, editMessageResult{}, "Gives a message of one's own another text."},
		"unsend":        {(*conn).unsend, sends | alone, messageIDParams{}, unsendResult{}, "Takes a message of one's own back from everybody."},
		"delete":        {(*conn).deleteMessage, 0, messageIDParams{}, deleteMessageResult{}, "Erases a message from this device alone."},
		"conversations": {(*conn).conversations, reads | alone, none{}, conversationsResult{}, "Lists the conversations: pinned ones first, then the newest."},
		"conversation":  {(*conn).conversation, 0, conversationParams{}, conversationResult{}, "Changes, and shows, how this person wants a conversation."},
		"timer":         {(*conn).timer, 0, timerParams{}, Timers{}, "Sets, and shows, how long later messages of a conversation live."},
		"draft":         {(*conn).draft, sends | alone, draftParams{}, Draft{}, "Keeps, and shows, what was begun to be written."},
		"getAttachment": {(*conn).getAttachment, reads | alone, getAttachmentParams{}, getAttachmentResult{}, "The content of a file of a message, or a part of it."},
		"sendTyping":    {(*conn).sendTyping, sends | alone, sendTypingParams{}, none{}, "Tells a contact that something is being written, if both want that."},
		"watch":         {(*conn).startWatch, reads | alone, startWatchParams{}, startWatchResult{}, "Events follow as notifications of the method event, from after on, or from now."},
		"unwatch":       {(*conn).stopWatch, reads | alone, none{}, stopWatchResult{}, "Ends watch."},

		"preview":  {(*conn).preview, sends, lookParams{}, Preview{}, "Looks up what there is to show of a link, to be given to send."},
		"settings": {(*conn).settings, 0, settingsParams{}, settingsResult{}, "Changes, and shows, what the person wants of the profile, and on this device."},

		"save":           {(*conn).save, 0, saveParams{}, saveResult{}, "Fetches files of a message and saves them on the daemon's machine; nothing is overwritten."},
		"transfers":      {(*conn).transfers, reads, none{}, transfersResult{}, "Lists the files that are on their way, or wait for that."},
		"cancelTransfer": {(*conn).cancelTransfer, 0, cancelTransferParams{}, none{}, "Stops fetching a file, until somebody saves or resumes it."},
		"resumeTransfer": {(*conn).resumeTransfer, 0, cancelTransferParams{}, none{}, "Fetches a file that was cancelled, or that is too large to be fetched unasked."},

		"sendReaction":     {(*conn).sendReaction, sends | alone, sendReactionParams{}, signalResult{}, "Puts an emoji under a message that is named by author and time."},
		"remoteDelete":     {(*conn).remoteDelete, sends | alone, remoteDeleteParams{}, signalResult{}, "Takes a message of one's own back that is named by its time."},
		"sendReceipt":      {(*conn).sendReceipt, reads | alone, sendReceiptParams{}, signalResult{}, "Marks messages read that are named by their times."},
		"subscribeReceive": {(*conn).subscribeReceive, reads | alone, subscribeReceiveParams{}, 0, "What comes from others follows as notifications of the method receive."},
		"listGroups":       {(*conn).listGroups, reads, listGroupsParams{}, List[none]{}, "Lists no groups: there are none yet."},
		"listAccounts":     {(*conn).listAccounts, reads, none{}, List[signalAccount]{}, "Lists the one account of this profile."},
		"listIdentities":   {(*conn).listIdentities, reads, listIdentitiesParams{}, List[signalIdentity]{}, "Lists the safety numbers with contacts."},
		"trust":            {(*conn).trust, signals, trustParams{}, none{}, "Marks a contact verified whose safety number is the one given."},
		"updateContact":    {(*conn).updateContact, signals, updateContactParams{}, none{}, "Gives a contact a petname."},

		"mailboxes":   {(*conn).mailboxes, reads, none{}, mailboxesResult{}, "Lists the relays at which mail waits."},
		"addRelay":    {(*conn).addRelay, 0, addRelayParams{}, addRelayResult{}, "Wants a mailbox at a relay."},
		"removeRelay": {(*conn).removeRelay, 0, removeRelayParams{}, none{}, "Gives up the mailbox at a relay."},

		"setName":  {(*conn).setName, 0, setNameParams{}, Self{}, "Changes the name that contacts see until they choose one."},
		"recovery": {(*conn).recovery, 0, recoveryParams{}, Recovery{}, "The recovery code of a new profile, until it is confirmed."},
		"qr":       {(*conn).qr, 0, qrParams{}, QR{}, "Draws a QR code: a string of 0 and 1 a row, without a margin."},
		"readQR":   {(*conn).readQR, 0, readQRParams{}, readQRResult{}, "Reads the QR code in a picture, a PNG or JPEG in base64."},

		"page":        {(*conn).page, 0, none{}, pageResult{}, "Makes a link that opens the page once, within a minute."},
		"createToken": {(*conn).createToken, 0, createTokenParams{}, createTokenResult{}, "Makes a token, which is shown only now."},
		"listTokens":  {(*conn).listTokens, 0, none{}, listTokensResult{}, "Lists the tokens, and the pages that are open."},
		"revokeToken": {(*conn).revokeToken, 0, revokeTokenParams{}, revokeTokenResult{}, "Ends a token, and what is done with it."},

		"confirmClock": {(*conn).confirmClock, 0, none{}, confirmClockResult{}, "Says that the system's clock is right."},
		"active":       {(*conn).active, 0, none{}, none{}, "Says that somebody is there, so that the profile isn't locked by itself."},
		"lock":         {(*conn).lock, 0, none{}, lockResult{}, "Forgets the keys until the profile is unlocked."},
		"unlock":       {(*conn).unlock, 0, unlockParams{}, unlockResult{}, "Unlocks a locked profile."},
		"wipe":         {(*conn).wipe, 0, wipeParams{}, wipeResult{}, "Destroys this profile."},
		"backup":       {(*conn).backup, 0, BackupRequest{}, Backup{}, "Writes a backup to a file of the daemon's machine."},
		"shutdown":     {(*conn).shutdown, 0, none{}, shutdownResult{}, "Stops the daemon."},
	}
}
