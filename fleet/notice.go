package fleet

import "time"

// NoticeID identifies a notice.
type NoticeID = ID[Notice]

// Notice is something that a person is told by mail, text message or push, or in the app.
type Notice struct {
	ID      NoticeID
	User    UserID // zero: somebody without an account
	Channel Channel
	To      string    // an e-mail address, or a telephone number in E.164; "" in the app and by push
	Kind    string    // names its template
	Sealed  []byte    // what the template is filled with, as sealed JSON: it may hold a code; empty: nothing
	Offer   OfferID   // which a push brings, and which is delivered with it; zero for all others
	Created time.Time // when the change was made that it tells of
	Expires time.Time // it is of no use later, and is not sent
}

// Channel is a way in which a person is told something.
type Channel string

// The channels.
const (
	MailChannel  Channel = "mail"
	SMSChannel   Channel = "sms"
	PushChannel  Channel = "push"  // to all apps that the person is signed in with
	InboxChannel Channel = "inbox" // in the app, in each of the person's sessions; nothing has to be sent
)

// NoticeState is what became of a notice.
type NoticeState string

// The states. A notice is sent once at most: if the hub died while it was being
// sent, nobody knows, and it is not sent again.
const (
	NoticeQueued   NoticeState = "queued"
	NoticeSending  NoticeState = "sending"
	NoticeSent     NoticeState = "sent"
	NoticeFailed   NoticeState = "failed"  // for good
	NoticeUnknown  NoticeState = "unknown" // it may have been sent
	NoticeExpired  NoticeState = "expired"
	NoticeShown    NoticeState = "shown"    // to ops: this hub has no way to send it
	NoticeUnwanted NoticeState = "unwanted" // its reader does not want to be told this by this channel
)

// NoticeJob sends a notice.
type NoticeJob struct {
	ID NoticeID `json:"id"`
}

// Kind names the job.
func (NoticeJob) Kind() string { return "notice" }

// Purpose is what the notice's data is sealed for.
func (n *Notice) Purpose() string { return "notice/" + n.ID.String() }
