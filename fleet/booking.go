package fleet

import (
	"encoding/json"
	"slices"
	"time"
)

type (
	// BookingID identifies a booking, and the trip that it becomes.
	BookingID = ID[Booking]
	// SeatID identifies a seat.
	SeatID = ID[Seat]
	// OfferID identifies an offer.
	OfferID = ID[Offer]
	// QuoteID identifies a quote.
	QuoteID = ID[Quote]
	// SeriesID identifies a series of bookings.
	SeriesID = ID[Series]
)

// BookingStatus is how far a booking has come.
type BookingStatus string

// The statuses of a booking, in the order of its way; the last four are ends.
const (
	Scheduled   BookingStatus = "scheduled"   // nobody is looked for yet
	Searching   BookingStatus = "searching"   // an officer is looked for
	Offered     BookingStatus = "offered"     // at least one officer has been asked
	Assigned    BookingStatus = "assigned"    // every seat has its officer
	EnRoute     BookingStatus = "en_route"    // the lead is on the way to the commencement point
	Arrived     BookingStatus = "arrived"     // the lead is there
	InProgress  BookingStatus = "in_progress" // the principal is protected
	Completed   BookingStatus = "completed"
	Cancelled   BookingStatus = "cancelled"
	NoShow      BookingStatus = "no_show"     // the principal did not come
	Unfulfilled BookingStatus = "unfulfilled" // no officer was found
)

// moves is the one transition table of bookings: for each status, those that may
// follow it. booking_moves in the database is its mirror, and a trigger there
// refuses every other change.
//
// The ways back: to scheduled when an edit puts a booking off before anybody has
// accepted; to searching when an offer comes to nothing, or when the officer is
// lost before the principal is theirs. In progress there is no way back: an
// officer is relieved seat by seat, and the principal is protected meanwhile.
var moves = map[BookingStatus][]BookingStatus{
	Scheduled:  {Searching, Assigned, Cancelled, Unfulfilled},
	Searching:  {Scheduled, Offered, Assigned, Cancelled, Unfulfilled},
	Offered:    {Scheduled, Searching, Assigned, Cancelled, Unfulfilled},
	Assigned:   {Searching, EnRoute, Cancelled},
	EnRoute:    {Searching, Arrived, Cancelled},
	Arrived:    {Searching, InProgress, Cancelled, NoShow},
	InProgress: {Completed},
}

// BookingStatuses lists every status in the order of a booking's way.
func BookingStatuses() []BookingStatus {
	return []BookingStatus{Scheduled, Searching, Offered, Assigned, EnRoute, Arrived, InProgress, Completed, Cancelled, NoShow, Unfulfilled}
}

// Next lists the statuses that may follow s; none after an end.
func (s BookingStatus) Next() []BookingStatus { return slices.Clone(moves[s]) }

// From lists the statuses from which a booking may come to s.
func (s BookingStatus) From() []BookingStatus {
	var from []BookingStatus
	for _, f := range BookingStatuses() {
		if slices.Contains(moves[f], s) {
			from = append(from, f)
		}
	}
	return from
}

// Ended reports whether the booking's way is over.
func (s BookingStatus) Ended() bool { return len(moves[s]) == 0 }

// Active reports whether the lead has set out and the trip is not over.
func (s BookingStatus) Active() bool { return s == EnRoute || s == Arrived || s == InProgress }

// MaxOfficers is how many officers one booking may have.
const MaxOfficers = 10

// Place is where something begins, stops or ends.
type Place struct {
	Lat   float64 `json:"lat"`
	Lon   float64 `json:"lon"`
	Label string  `json:"label,omitempty"` // as a person would write it
}

// AssignmentType is the kind of work.
type AssignmentType string

// The types. Static protection has no destination.
const (
	SecureTransfer   AssignmentType = "secure_transfer"   // from one place to another
	AtTheirSide      AssignmentType = "close_protection"  // with the principal, wherever they go
	StaticProtection AssignmentType = "static_protection" // at one place
)

// ProtectionLevel is how visible and how close the protection is.
type ProtectionLevel string

// The levels. There is none that is armed: such a booking is refused.
const (
	LevelDiscreet ProtectionLevel = "discreet"
	LevelStandard ProtectionLevel = "standard"
	LevelEnhanced ProtectionLevel = "enhanced"
)

// Order is what a principal asks for.
type Order struct {
	Start      time.Time `json:"-"` // the zero value in a quote means: now
	Zone       string    `json:"-"` // IANA; of LocalStart, and of night and holidays in the price
	LocalStart string    `json:"-"` // 2006-01-02T15:04, as it was asked for; empty: now
	Minutes    int       `json:"-"` // how long it is booked for

	Type           AssignmentType  `json:"type"`
	Tier           Tier            `json:"tier"`
	Level          ProtectionLevel `json:"level"`
	Risk           string          `json:"risk,omitempty"` // the band of the principal's questionnaire when it was booked
	Pickup         Place           `json:"pickup"`         // the commencement point
	Destination    *Place          `json:"destination,omitempty"`
	Stops          []Place         `json:"stops,omitempty"`
	Officers       int             `json:"officers"` // 1 to MaxOfficers, the lead among them
	Certifications []string        `json:"certifications,omitempty"`
	Gender         Gender          `json:"gender,omitempty"`    // of the officers; empty: any
	Languages      []string        `json:"languages,omitempty"` // BCP 47; the lead speaks one of them
	Preferred      DriverID        `json:"preferred,omitzero"`  // looked for first, as the lead
	ClientVehicle  bool            `json:"client_vehicle,omitempty"`
	Vehicle        string          `json:"vehicle,omitempty"` // the client's own, so that the officers know it
	Notes          string          `json:"notes,omitempty"`
	Discretion     string          `json:"discretion,omitempty"` // how the officers should appear
}

// Now reports whether the order is for at once.
func (o *Order) Now() bool { return o.LocalStart == "" }

// Booked is for how long the order is.
func (o *Order) Booked() time.Duration { return time.Duration(o.Minutes) * time.Minute }

// End is when the booked time is over.
func (o *Order) End() time.Time { return o.Start.Add(o.Booked()) }

// Quote is what an order would cost, for as long as it is good.
type Quote struct {
	ID      QuoteID
	User    UserID
	Order   Order
	Created time.Time
	Expires time.Time
	Terms
}

// Terms are what a booking costs by, as they were when it was quoted.
type Terms struct {
	Tariff json.RawMessage // the tariff.Table
	Price  json.RawMessage // the tariff.Price: its lines
	Total  Money
	Metres int // of the way that the hub worked out from the places
	Member bool
}

// Booking is an order that was placed, on its way.
type Booking struct {
	ID      BookingID
	User    UserID // the principal
	Series  SeriesID
	Quote   QuoteID // that was booked; zero if it was quoted on the spot
	Status  BookingStatus
	Version int64 // rises with each change; the ETag
	Seq     int64 // of its last event
	Order
	Terms
	Created time.Time
	Funded  time.Time // zero: not yet, and nobody is looked for
	// Since is when it came to its status.
	Since   time.Time
	Sought  time.Time // since when an officer is looked for; zero unless searching or offered
	EnRoute time.Time
	Arrived time.Time
	Started time.Time
	Ended   time.Time // zero: it has not
	// EndedBy and EndReason say who cancelled it and why.
	EndedBy   ActorKind
	EndReason string
	// Account is how it is to be paid by an organisation, when it is placed; nil: it
	// is not. Of a booking that is read, account_bookings says it.
	Account *OnAccount
	Fee     Money // of a cancellation, or the final price of what was completed
	Seats   []Seat
}

// Lead is the seat of the lead; nil if it has none that counts.
func (b *Booking) Lead() *Seat {
	for i := range b.Seats {
		if s := &b.Seats[i]; s.Number == 1 && s.State != SeatReleased && s.Relieves.IsZero() {
			return s
		}
	}
	return nil
}

// SeatState is what is known of a seat.
type SeatState string

// The states of a seat. A seat that is open may have an offer out.
const (
	SeatOpen      SeatState = "open"      // nobody has it
	SeatHeld      SeatState = "held"      // its officer has accepted; the others of the team have not yet
	SeatCommitted SeatState = "committed" // its officer is assigned
	SeatActive    SeatState = "active"    // its officer is at work on it
	SeatReleased  SeatState = "released"  // it is over, for whatever reason
)

// Taken reports whether an officer's time is taken by a seat in this state.
func (s SeatState) Taken() bool { return s == SeatHeld || s == SeatCommitted || s == SeatActive }

// Seat is the place of one officer in a booking. Number 1 is the lead's. A seat
// that relieves another has its number, and replaces it at the handover.
type Seat struct {
	ID       SeatID
	Booking  BookingID
	Number   int
	State    SeatState
	Driver   DriverID
	Vehicle  VehicleID
	From, To time.Time // the officer's time that it takes, with travel and a buffer
	Held     time.Time // until when it is held
	Relieves SeatID
	Reason   string // why it was released
}

// OfferState is what became of an offer.
type OfferState string

// The states of an offer.
const (
	OfferOpen      OfferState = "open"
	OfferAccepted  OfferState = "accepted"
	OfferDeclined  OfferState = "declined"
	OfferExpired   OfferState = "expired"
	OfferWithdrawn OfferState = "withdrawn" // by the hub: somebody else has the seat, or nobody needs it
)

// An offer is open for OfferAfterDelivery once it has reached the officer's
// phone, and for OfferLife in all.
const (
	OfferAfterDelivery = 30 * time.Second
	OfferLife          = 60 * time.Second
)

// Offer asks one officer to take one seat.
type Offer struct {
	ID        OfferID
	Booking   BookingID
	Seat      SeatID
	Driver    DriverID
	Replaces  DriverID // who has the seat, and keeps it until the offer is accepted; zero: nobody
	State     OfferState
	Reason    string // of a decline or a withdrawal
	Created   time.Time
	Delivered time.Time // zero: not known to have reached the phone
	Expires   time.Time
	Ended     time.Time
	Pickup    time.Duration // how long the officer will be on the way, as estimated
	From, To  time.Time     // the officer's time that the seat will take
}

// ActorKind is who did something.
type ActorKind string

// The actors.
const (
	ByPrincipal ActorKind = "principal"
	ByOfficer   ActorKind = "officer"
	ByOps       ActorKind = "ops"
	BySystem    ActorKind = "system"
)

// Actor is who changes a booking.
type Actor struct {
	Kind ActorKind
	User UserID // zero: the system, or the bootstrap admin
}

// EventFeeWaived is the kind of the event by which ops let a principal off a fee.
const EventFeeWaived = "fee_waived"

// BookingEvent is one thing that happened to a booking. Seq counts them without
// a gap, in the order in which they were committed.
type BookingEvent struct {
	Booking  BookingID       `json:"booking_id"`
	Seq      int64           `json:"seq"`
	Kind     string          `json:"kind"`
	From     BookingStatus   `json:"from,omitempty"` // both empty: the status stayed
	To       BookingStatus   `json:"to,omitempty"`
	Actor    Actor           `json:"-"`
	Occurred time.Time       `json:"occurred_at"` // as the actor says
	At       time.Time       `json:"at"`          // by the hub's clock
	Data     json.RawMessage `json:"data,omitempty"`
}

// Rating is what a principal thought of an assignment, and so of its officers.
type Rating struct {
	Stars  int // 1 to 5
	Text   string
	Review ReviewState
}

// ReviewState is who may read the words of a rating.
type ReviewState string

// The states of a review. Staff read the words in each.
const (
	ReviewPrivate ReviewState = "private" // no principal but its author, who has not let others
	ReviewWaiting ReviewState = "waiting" // nobody else, until staff have decided
	ReviewShown   ReviewState = "shown"   // every principal who may ask for the officer
	ReviewRefused ReviewState = "refused" // nobody else: staff have said no
)

// Review is a rating as others may come to read it.
type Review struct {
	Booking BookingID
	Rating
	Rated time.Time
}

// Series is a booking that repeats.
type Series struct {
	ID      SeriesID
	User    UserID
	Rule    Recurrence
	Order   Order // its LocalStart is that of the first
	Made    int   // how many of them have been made, or passed over
	Created time.Time
	Ended   time.Time // zero: it goes on
}

// Recurrence is when a series repeats, in local time of the order's zone.
type Recurrence struct {
	Every    int            `json:"every"`              // weeks, 1 to 4
	Weekdays []time.Weekday `json:"weekdays,omitempty"` // none: the one of the first
	Count    int            `json:"count"`              // how many in all
}

// MakeSeries is the job of making the next bookings of every series.
type MakeSeries struct{}

// Kind names the job.
func (MakeSeries) Kind() string { return "make_series" }

// EndSeries is the job of cancelling what has not begun of a series that was
// ended.
type EndSeries struct {
	Series SeriesID `json:"series"`
}

// Kind names the job.
func (EndSeries) Kind() string { return "end_series" }
