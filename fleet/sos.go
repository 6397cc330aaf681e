package fleet

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

type (
	// SOSID identifies an SOS.
	SOSID = ID[SOS]
	// SOSEntryID identifies an entry of the timeline of an SOS.
	SOSEntryID = ID[SOSEntry]
	// HubID identifies a hub, by its data folder.
	HubID = ID[hub]
	// SOSClientID is the id that an app, or a device, gives to one press of its button.
	SOSClientID = ID[SOSCall]
)

// hub is what a HubID identifies.
type hub struct{}

// SOSIDOf is the id of the SOS that a press raises. One whose own id is a UUIDv7 of
// about now makes it, so that two hubs on which it was pressed raise the same one; it
// begins with the press's time, as ids do.
func SOSIDOf(r *Raiser, client SOSClientID, now time.Time) SOSID {
	const aDay = 24 * time.Hour
	seconds, nanos := uuid.UUID(client).Time().UnixTime()
	if uuid.UUID(client).Version() != 7 || now.Sub(time.Unix(seconds, nanos)).Abs() > aDay {
		return NewID[SOS]()
	}
	key, id := r.Key(), SOSID(client)
	sum := sha256.Sum256(append(key[:], client[:]...))
	copy(id[8:], sum[:])
	id[8] = id[8]&0x3f | 0x80
	return id
}

// CancelWindow is for how long after it was received an SOS is cancelled by who
// raised it. Later only ops close it.
const CancelWindow = 3 * time.Second

// SOSType is what is wrong.
type SOSType string

// The types.
const (
	SOSMedical SOSType = "medical"
	SOSThreat  SOSType = "threat"
	SOSVehicle SOSType = "vehicle"
	SOSOther   SOSType = "other"
)

// SOSTypeOf reads a type. What is not known is other: nobody is refused help for a word.
func SOSTypeOf(word string) SOSType {
	if t := SOSType(word); slices.Contains([]SOSType{SOSMedical, SOSThreat, SOSVehicle}, t) {
		return t
	}
	return SOSOther
}

// Raiser is who presses the button, as well as it is known.
type Raiser struct {
	User   UserID   `json:"user,omitzero"`
	Driver DriverID `json:"driver,omitzero"`
	Device DeviceID `json:"device,omitzero"` // that it was pressed on; zero by REST
}

// Key is what tells one raiser from another: of one there is one open SOS.
func (r *Raiser) Key() ID[Raiser] {
	switch {
	case !r.User.IsZero():
		return ID[Raiser](r.User)
	case !r.Driver.IsZero():
		return ID[Raiser](r.Driver)
	}
	return ID[Raiser](r.Device)
}

// SOSCall is one press of the button.
type SOSCall struct {
	Client   SOSClientID `json:"client,omitzero"` // zero: the app gave it no id
	Raiser               // by whom
	Trip     BookingID   `json:"trip,omitzero"` // that they are on; zero: none
	Type     SOSType     `json:"type"`
	Silent   bool        `json:"silent,omitempty"` // nothing must show, or sound, at their end
	Drill    bool        `json:"drill,omitempty"`  // an exercise
	Place    *SOSPlace   `json:"place,omitempty"`  // where they said they were; nil: they did not
	Occurred time.Time   `json:"occurred"`         // by the device's clock, if it said; else when it was received
	Via      string      `json:"via"`              // "rest", "mqtt"
}

// SOSPlace is where somebody said they were.
type SOSPlace struct {
	Lat      float64 `json:"lat"`
	Lon      float64 `json:"lon"`
	Accuracy float64 `json:"acc,omitempty"` // metres; 0: unknown
}

// SOSKind is what an entry of a timeline tells.
type SOSKind string

// The kinds.
const (
	SOSRaised       SOSKind = "raised"
	SOSJoined       SOSKind = "joined"        // the button was pressed again
	SOSCancelled    SOSKind = "cancelled"     // by who raised it, within CancelWindow
	SOSCancelAsked  SOSKind = "cancel_asked"  // later: ops decide
	SOSDuress       SOSKind = "duress"        // a cancel under duress: only who raised it is shown that it worked
	SOSEscalated    SOSKind = "escalated"     // a step of the rota began
	SOSTold         SOSKind = "told"          // somebody was sent a message, or could not be
	SOSAcknowledged SOSKind = "acknowledged"  // a named person sees to it
	SOSClosed       SOSKind = "closed"        // by ops
	SOSRateRaised   SOSKind = "rate_raised"   // phones were asked for a position each second
	SOSRateRestored SOSKind = "rate_restored" // and for no more than usual
	SOSSeen         SOSKind = "seen"          // somebody was shown it, which the audit log could not take
)

// SOSOutcome is how ops closed an SOS.
type SOSOutcome string

// The outcomes.
const (
	SOSResolved   SOSOutcome = "resolved"
	SOSFalseAlarm SOSOutcome = "false_alarm"
)

// SOSEntry is one entry of a timeline. What happened is written down once, and
// never changed.
type SOSEntry struct {
	ID   SOSEntryID `json:"id"`
	SOS  SOSID      `json:"sos"`
	Kind SOSKind    `json:"kind"`
	At   time.Time  `json:"at"` // by the hub's clock, in whole microseconds
	By   string     `json:"by"` // a user's id, "device/<id>", or "hub"
	// Call, Note and Told are what there is to say besides, by Kind.
	Call *SOSCall `json:"call,omitempty"` // raised, joined
	Note *SOSNote `json:"note,omitempty"` // acknowledged, closed, escalated, rate_raised
	Told *SOSTell `json:"told,omitempty"` // told

	// Where the entry stands in the chain, once the database has it.
	Seq      int64  `json:"-"`
	Previous []byte `json:"-"` // hash of the entry before; empty for the first
	Hash     []byte `json:"-"`
}

// SOSNote is what ops, or the hub, say of what they did.
type SOSNote struct {
	Outcome SOSOutcome `json:"outcome,omitempty"`
	Text    string     `json:"text,omitempty"`
	Step    int        `json:"step,omitempty"`    // of the rota, counted on over its rounds; 1 for the first
	Channel Channel    `json:"channel,omitempty"` // by which the step calls
	User    UserID     `json:"user,omitzero"`     // whom
	Devices []DeviceID `json:"devices,omitempty"` // that were commanded
}

// SOSTell is what became of one message.
type SOSTell struct {
	Notice  NoticeID    `json:"notice"`
	Channel Channel     `json:"channel"`
	User    UserID      `json:"user,omitzero"`    // whom it was for
	Contact ContactID   `json:"contact,omitzero"` // likewise, an emergency contact
	Step    int         `json:"step,omitempty"`   // 0: all of ops, or contacts
	State   NoticeState `json:"state"`
	Problem string      `json:"problem,omitempty"` // names no reader
}

// Detail returns what the entry says besides, as it is stored and hashed.
func (e *SOSEntry) Detail() (json.RawMessage, error) {
	return json.Marshal(struct {
		Call *SOSCall `json:"call,omitempty"`
		Note *SOSNote `json:"note,omitempty"`
		Told *SOSTell `json:"told,omitempty"`
	}{e.Call, e.Note, e.Told})
}

// SOS is an emergency, as the entries of its timeline have made it.
type SOS struct {
	ID SOSID
	SOSCall
	Received time.Time
	Clients  []SOSClientID // the presses that it has answered

	Cancelled   time.Time // zero: it was not
	CancelAsked time.Time // zero: nobody has
	Duress      time.Time // zero: nobody has said so
	Hidden      bool      // who raised it is shown that it is cancelled
	Acked       time.Time // zero: nobody sees to it yet
	AckedBy     string    // a user's id
	Closed      time.Time // zero: it is open
	ClosedBy    string
	Outcome     SOSOutcome
	ClosingNote string

	Timeline []SOSEntry // in the order of Seq, as far as they have one
}

// Over reports whether nothing is to be done any more.
func (s *SOS) Over() bool { return !s.Cancelled.IsZero() || !s.Closed.IsZero() }

// Cancellable reports whether who raised it may cancel it at a time. A time before it was
// received is of a clock that was set back since: nobody knows how long it has been.
func (s *SOS) Cancellable(at time.Time) bool { return at.Sub(s.Received).Abs() <= CancelWindow }

// Ended is when it was over; zero: it is not.
func (s *SOS) Ended() time.Time {
	if !s.Cancelled.IsZero() {
		return s.Cancelled
	}
	return s.Closed
}

// Wants reports whether a named person is still looked for.
func (s *SOS) Wants() bool { return !s.Over() && s.Acked.IsZero() }

// Discreet reports whether nobody may show, near who raised it, that help is on
// the way.
func (s *SOS) Discreet() bool { return s.Silent || !s.Duress.IsZero() }

// SOSStatus is what who raised an SOS is shown of it.
type SOSStatus string

// The statuses. One that was cancelled under duress shows as cancelled.
const (
	SOSIsRaised       SOSStatus = "raised"
	SOSIsAcknowledged SOSStatus = "acknowledged"
	SOSIsCancelled    SOSStatus = "cancelled"
	SOSIsClosed       SOSStatus = "closed"
)

// Shown returns the status for who raised it.
func (s *SOS) Shown() SOSStatus {
	switch {
	case s.Hidden || !s.Cancelled.IsZero():
		return SOSIsCancelled
	case !s.Closed.IsZero():
		return SOSIsClosed
	case !s.Acked.IsZero():
		return SOSIsAcknowledged
	}
	return SOSIsRaised
}

// Knows reports whether the SOS has answered a press. A zero id is none.
func (s *SOS) Knows(client SOSClientID) bool {
	return !client.IsZero() && slices.Contains(s.Clients, client)
}

// Apply adds an entry to the timeline. One that is there already changes nothing,
// but for its place in the chain.
func (s *SOS) Apply(e SOSEntry) error {
	for i := range s.Timeline {
		if known := &s.Timeline[i]; known.ID == e.ID {
			if known.Seq == 0 {
				known.Seq, known.Previous, known.Hash = e.Seq, e.Previous, e.Hash
			}
			return nil
		}
	}
	switch e.Kind {
	case SOSRaised:
		if e.Call == nil {
			return fmt.Errorf("entry %s of an SOS raises it and says nothing of it", e.ID)
		}
		if !s.Received.IsZero() { // on another hub
			s.join(e.Call)
			break
		}
		s.ID, s.SOSCall, s.Received = e.SOS, *e.Call, e.At
		s.know(e.Call.Client)
	case SOSJoined:
		if e.Call != nil {
			s.join(e.Call)
		}
	case SOSCancelled:
		s.Cancelled = first(s.Cancelled, e.At)
	case SOSCancelAsked:
		s.CancelAsked = first(s.CancelAsked, e.At)
	case SOSDuress:
		s.Duress = first(s.Duress, e.At)
		s.Hidden = s.Hidden || s.Cancellable(e.At)
		if !s.Hidden {
			s.CancelAsked = first(s.CancelAsked, e.At)
		}
	case SOSAcknowledged:
		if s.Acked.IsZero() {
			s.Acked, s.AckedBy = e.At, e.By
		}
	case SOSClosed:
		if s.Closed.IsZero() && e.Note != nil {
			s.Closed, s.ClosedBy, s.Outcome, s.ClosingNote = e.At, e.By, e.Note.Outcome, e.Note.Text
		}
	}
	s.Timeline = append(s.Timeline, e)
	return nil
}

func (s *SOS) know(client SOSClientID) {
	if !client.IsZero() && !slices.Contains(s.Clients, client) {
		s.Clients = append(s.Clients, client)
	}
}

// join takes of another press what makes it more urgent, or says more.
func (s *SOS) join(call *SOSCall) {
	s.know(call.Client)
	s.Silent = s.Silent || call.Silent
	s.Drill = s.Drill && call.Drill // in an exercise something may really happen
	if call.Place != nil {
		s.Place = call.Place
	}
	if s.Trip.IsZero() {
		s.Trip = call.Trip
	}
	if s.Type == SOSOther {
		s.Type = call.Type
	}
	if s.Device.IsZero() {
		s.Device = call.Device
	}
}

func first(known, now time.Time) time.Time {
	if known.IsZero() {
		return now
	}
	return known
}

// SOSStep is a step of the on-call rota: who is called how. A later step begins
// when nobody has acknowledged for StepLength.
type SOSStep struct {
	Channel Channel
	User    UserID
	Since   time.Time // on call from then; zero: always
	Until   time.Time // zero: for good
}

// OnCall reports whether the step is on call at a time.
func (s *SOSStep) OnCall(at time.Time) bool {
	return !at.Before(s.Since) && (s.Until.IsZero() || at.Before(s.Until))
}

// StepLength is how long a step of the rota has until the next one begins.
const StepLength = 30 * time.Second
