package dispatch

import (
	"time"

	"armora/fleet"
)

// sharedAfter is for how long principal and officers see each other once their
// assignment is over.
const sharedAfter = 24 * time.Hour

// Viewer is as whom somebody looks at a booking.
type Viewer string

// The viewers.
const (
	AsPrincipal Viewer = "principal"
	AsOfficer   Viewer = "officer"
	AsOps       Viewer = "ops"
)

// Glimpse is what one learns of a booking who has not accepted it: where, to half
// a kilometre, when, and how grave it is. It is all that an offer carries.
type Glimpse struct {
	Area    Cell
	Start   time.Time
	Zone    string
	Minutes int
	Tier    fleet.Tier
	Risk    string
}

// GlimpseOf returns what an offer of a booking carries.
func GlimpseOf(b *fleet.Booking) Glimpse {
	return Glimpse{
		Area: CellOf(b.Pickup.Lat, b.Pickup.Lon), Start: b.Start, Zone: b.Zone, Minutes: b.Minutes, Tier: b.Tier, Risk: b.Risk,
	}
}

// Face is how one of those who are about a booking is known to the others.
type Face struct {
	Officer   fleet.DriverID // zero: it is the principal
	Lead      bool
	Name      string // an alias, or the first name
	Photo     fleet.FileID
	Licence   string // of an officer
	Languages []string
	// Relay is where both reach each other through the hub: neither learns the
	// other's number or address.
	Relay string
}

// View is a booking as one of those who are about it may see it.
type View struct {
	As      Viewer
	ID      fleet.BookingID
	Status  fleet.BookingStatus
	Version int64
	Glimpse

	// Booking is all that the viewer may see besides, the rest of it being zero;
	// nil: what is above is all.
	Booking   *fleet.Booking
	Principal *Face  // for officers and ops
	Officers  []Face // those who are, or were at the end, assigned
	StartCode string // for the principal, from acceptance to the start
	Rating    *fleet.Rating
}

// Shows reports whether the viewer is shown a photo.
func (v *View) Shows(photo fleet.FileID) bool {
	shows := v.Principal != nil && v.Principal.Photo == photo
	for _, f := range v.Officers {
		shows = shows || f.Photo == photo
	}
	return shows && !photo.IsZero()
}

// parties are those who are about a booking.
type parties struct {
	principal fleet.Principal
	officers  map[fleet.DriverID]fleet.Officer
	rating    *fleet.Rating
	startCode string
}

// viewOf is the one place that says who sees what of a booking. driver is the
// officer who looks.
//
// Everything is put in, and nothing taken out: what nobody has thought of is not
// shown.
func viewOf(b *fleet.Booking, as Viewer, driver fleet.DriverID, with *parties, now time.Time) View {
	v := View{As: as, ID: b.ID, Status: b.Status, Version: b.Version, Glimpse: GlimpseOf(b)}
	switch as {
	case AsOps:
		whole := *b
		v.Booking, v.Rating = &whole, with.rating
		v.Principal = principalFace(b, with.principal)
		v.Officers = with.faces(b, func(*fleet.Seat) bool { return true })
	case AsPrincipal:
		v.Booking, v.Rating = ofPrincipal(b), with.rating
		if shared(b, now) {
			v.Officers = with.faces(b, func(s *fleet.Seat) bool { return accepted(b, s) })
			if b.Status == fleet.Assigned || b.Status == fleet.EnRoute || b.Status == fleet.Arrived {
				v.StartCode = with.startCode
			}
		}
	case AsOfficer:
		if !shared(b, now) || !has(b, driver) {
			return v
		}
		v.Booking = ofOfficer(b)
		v.Principal = principalFace(b, with.principal)
		v.Officers = with.faces(b, func(s *fleet.Seat) bool { return accepted(b, s) })
	}
	return v
}

// shared reports whether it is a time at which principal and officers may see
// each other, if they are assigned.
func shared(b *fleet.Booking, now time.Time) bool {
	return b.Ended.IsZero() || now.Before(b.Ended.Add(sharedAfter))
}

// accepted reports whether the officer of a seat is assigned, or was when the
// booking ended. One whose team is not complete yet is not.
func accepted(b *fleet.Booking, s *fleet.Seat) bool {
	switch s.State {
	case fleet.SeatCommitted, fleet.SeatActive:
		return true
	case fleet.SeatReleased:
		return b.Status.Ended() && s.Reason == string(b.Status) && !s.Driver.IsZero()
	}
	return false
}

// has reports whether a driver has, or had at the end, a seat of the booking.
func has(b *fleet.Booking, driver fleet.DriverID) bool {
	for i := range b.Seats {
		if b.Seats[i].Driver == driver && accepted(b, &b.Seats[i]) {
			return !driver.IsZero()
		}
	}
	return false
}

// ofPrincipal is a booking without what is the hub's own: how it was searched,
// and what its officers are worked out by.
func ofPrincipal(b *fleet.Booking) *fleet.Booking {
	return &fleet.Booking{
		ID: b.ID, User: b.User, Series: b.Series, Status: b.Status, Version: b.Version, Seq: b.Seq, Order: b.Order,
		Terms:   fleet.Terms{Price: b.Price, Total: b.Total, Metres: b.Metres, Member: b.Member},
		Created: b.Created, Since: b.Since, Funded: b.Funded, EnRoute: b.EnRoute, Arrived: b.Arrived, Started: b.Started, Ended: b.Ended,
		EndedBy: b.EndedBy, EndReason: b.EndReason, Fee: b.Fee,
	}
}

// ofOfficer is what an officer needs to do the work. What it costs, and whom the
// principal would rather have had, is not part of it.
func ofOfficer(b *fleet.Booking) *fleet.Booking {
	o := &b.Order
	return &fleet.Booking{
		ID: b.ID, Status: b.Status, Version: b.Version, Seq: b.Seq,
		Order: fleet.Order{
			Start: o.Start, Zone: o.Zone, LocalStart: o.LocalStart, Minutes: o.Minutes, Type: o.Type, Tier: o.Tier, Level: o.Level, Risk: o.Risk,
			Pickup: o.Pickup, Destination: o.Destination, Stops: o.Stops, Officers: o.Officers, Certifications: o.Certifications,
			Languages: o.Languages, ClientVehicle: o.ClientVehicle, Vehicle: o.Vehicle, Notes: o.Notes, Discretion: o.Discretion,
		},
		Since: b.Since, EnRoute: b.EnRoute, Arrived: b.Arrived, Started: b.Started, Ended: b.Ended, EndedBy: b.EndedBy,
	}
}

// relayOf is the chat of the assignment, which carries calls as well.
func relayOf(b *fleet.Booking) string { return "/api/chat/" + b.ID.String() }

func principalFace(b *fleet.Booking, p fleet.Principal) *Face {
	face := &Face{Name: fleet.FirstName(p.Name), Photo: p.Photo, Relay: relayOf(b)}
	if p.Restricted || face.Name == "" { // the start code is what one knows them by
		face.Name, face.Photo = "Principal", fleet.FileID{}
	}
	return face
}

func (p *parties) faces(b *fleet.Booking, of func(*fleet.Seat) bool) []Face {
	var faces []Face
	for i := range b.Seats {
		s := &b.Seats[i]
		if s.Driver.IsZero() || !of(s) {
			continue
		}
		o := p.officers[s.Driver]
		faces = append(faces, Face{
			Officer: s.Driver, Lead: s.Number == 1, Name: o.Known(), Photo: o.Photo, Licence: o.Licence, Languages: o.Languages, Relay: relayOf(b),
		})
	}
	return faces
}
