package fleet

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
)

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
	Booking BookingID // what it is about; zero: no booking
	// Once is what it tells of, by a name that those who tell of it agree on: a person
	// is told that once by each channel, however often the job is run that tells.
	// "": nothing keeps it from being told twice. What is told again on purpose says
	// so behind a #, and keeps its Reference.
	Once    string
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

	VoiceChannel   Channel = "voice"   // a telephone call, by which a machine reads the message
	ConsoleChannel Channel = "console" // on the screens of ops; nothing has to be sent
)

// NoticeState is what became of a notice.
type NoticeState string

// The states. A notice is sent once at most: if the hub died while it was being
// sent, nobody knows, and it is not sent again; one of safety is, until somebody
// has taken it.
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

// safety is what the kinds of notices of safety begin with.
const safety = "safety_"

// Safety reports whether somebody may be in danger who is not told: such a notice
// comes by every channel, at any hour, and at least once.
func (n *Notice) Safety() bool { return strings.HasPrefix(n.Kind, safety) }

// Reference is the name by which a person sees that they were told the same again:
// XXX-XXX, the same for all that have one Once, by whatever channel and however
// often they are sent.
func (n *Notice) Reference() string {
	const half = 3
	of, _, _ := strings.Cut(n.Once, "#")
	if of == "" {
		of = n.ID.String()
	}
	sum := sha256.Sum256([]byte(of))
	// Base32 has neither 0 nor 1, which are read as O and I.
	name := base32.StdEncoding.EncodeToString(sum[:])
	return name[:half] + "-" + name[half:2*half]
}

// Tidings are what somebody is to be told, before it is known how they can be
// reached.
type Tidings struct {
	Kind     string
	Once     string
	Booking  BookingID
	Expires  time.Time
	Data     map[string]string
	Channels []Channel // by which, as far as the person can be reached by them
}

// TellBooking is the job of telling people of an event of a booking.
type TellBooking struct {
	Booking BookingID `json:"booking"`
	Seq     int64     `json:"seq"`
}

// Kind names the job.
func (TellBooking) Kind() string { return "tell_booking" }

// EventsToTell lists the kinds of events of bookings of which somebody is told.
func EventsToTell() []string {
	return []string{
		"booked", "assigned", "assigned_by_ops", "officer_released", "officer_unfit", "officer_needed_elsewhere", "swapped",
		"officer_arriving", "arrived", "in_progress", "handed_over", "extended", "edited", "completed", "cancelled", "no_show", "unfulfilled",
	}
}
