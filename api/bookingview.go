package api

import (
	"encoding/json"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/tariff"
)

// Booking is an assignment as its viewer may see it.
type Booking struct {
	ID       fleet.BookingID     `json:"id" format:"uuid"`
	As       dispatch.Viewer     `json:"as" enum:"principal,officer,ops" doc:"As whom one sees it: what is absent may be so because one may not see it"`
	Status   fleet.BookingStatus `json:"status" enum:"scheduled,searching,offered,assigned,en_route,arrived,in_progress,completed,cancelled,no_show,unfulfilled"`
	Version  int64               `json:"version" doc:"Rises with each change; also the ETag"`
	StartsAt time.Time           `json:"starts_at"`
	Zone     string              `json:"zone" doc:"IANA time zone"`
	Minutes  int                 `json:"minutes" doc:"For how long it is booked"`
	Tier     fleet.Tier          `json:"tier"`
	Risk     string              `json:"risk_band,omitempty" doc:"Of the principal's security assessment when it was booked"`
	Area     Area                `json:"area" doc:"Where it begins, to half a kilometre"`

	UserID         fleet.UserID          `json:"user_id,omitzero" format:"uuid" doc:"The principal"`
	SeriesID       fleet.SeriesID        `json:"series_id,omitzero" format:"uuid"`
	Seq            int64                 `json:"seq,omitempty" doc:"Of its last event"`
	LocalStart     string                `json:"local_start,omitempty" doc:"By the clocks of the zone; absent: it was booked for now"`
	Type           fleet.AssignmentType  `json:"type,omitempty"`
	Level          fleet.ProtectionLevel `json:"level,omitempty"`
	Pickup         *BookingPlace         `json:"pickup,omitempty" doc:"The commencement point"`
	Destination    *BookingPlace         `json:"destination,omitempty"`
	Stops          []BookingPlace        `json:"stops,omitempty"`
	Officers       int                   `json:"officers,omitempty" doc:"How many"`
	Certifications []string              `json:"certifications,omitempty"`
	Gender         fleet.Gender          `json:"officer_gender,omitempty"`
	Languages      []string              `json:"languages,omitempty"`
	Preferred      fleet.DriverID        `json:"preferred_officer_id,omitzero" format:"uuid"`
	ClientVehicle  bool                  `json:"client_vehicle,omitempty"`
	OrderDetails

	Price     *tariff.Price   `json:"price,omitempty" doc:"As quoted, VAT included"`
	Total     *fleet.Money    `json:"total,omitempty"`
	Miles     float64         `json:"miles,omitempty"`
	Fee       *fleet.Money    `json:"fee,omitempty" doc:"Of a cancellation or a no-show; once completed, the final price"`
	EndedBy   fleet.ActorKind `json:"ended_by,omitempty" enum:"principal,officer,ops,system"`
	EndReason string          `json:"end_reason,omitempty"`

	CreatedAt time.Time `json:"created_at,omitzero"`
	Since     time.Time `json:"since,omitzero" doc:"When it came to its status"`
	FundedAt  time.Time `json:"funded_at,omitzero" doc:"Since when its amount is held, or will be invoiced: until then nobody is looked for. To the principal and ops"`
	EnRouteAt time.Time `json:"en_route_at,omitzero"`
	ArrivedAt time.Time `json:"arrived_at,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`

	Principal *Face          `json:"principal,omitempty" doc:"To officers, from acceptance to a day after the end, and to ops"`
	Team      []Face         `json:"team,omitempty" doc:"The officers who have accepted, to a day after the end; to ops, all who have or had a seat"`
	StartCode string         `json:"start_code,omitempty" doc:"To the principal, who shows it to the officer"`
	Rating    *BookingRating `json:"rating,omitempty" doc:"To the principal and ops"`
}

// Face is how somebody who is about an assignment is known to the others.
type Face struct {
	OfficerID fleet.DriverID `json:"officer_id,omitzero" format:"uuid"`
	Lead      bool           `json:"lead,omitempty"`
	Name      string         `json:"name" doc:"An alias, or the first name"`
	PhotoID   fleet.FileID   `json:"photo_id,omitzero" format:"uuid" doc:"At /api/bookings/{id}/photos/{photo_id}"`
	Licence   string         `json:"licence,omitempty" doc:"The number of the SIA licence"`
	Languages []string       `json:"languages,omitempty"`
	Contact   string         `json:"contact" doc:"Where to reach them through the hub, which tells neither the other's number"`
}

// BookingRating is what the principal thought of an assignment.
type BookingRating struct {
	Stars int    `json:"stars" minimum:"1" maximum:"5"`
	Text  string `json:"text,omitempty" maxLength:"1000"`

	Review fleet.ReviewState `json:"review" enum:"private,waiting,shown,refused" doc:"Whether other principals read the text: only if its author lets them, and staff have read it"`
}

func showFace(f *dispatch.Face) Face {
	return Face{OfficerID: f.Officer, Lead: f.Lead, Name: f.Name, PhotoID: f.Photo, Licence: f.Licence, Languages: f.Languages, Contact: f.Relay}
}

func showPlace(p *fleet.Place) *BookingPlace {
	if p == nil {
		return nil
	}
	return new(BookingPlace(*p))
}

// showBooking writes down what the desk has decided that the viewer may see.
func showBooking(v dispatch.View) (Booking, error) {
	b := Booking{
		ID: v.ID, As: v.As, Status: v.Status, Version: v.Version, StartsAt: v.Start, Zone: v.Zone, Minutes: v.Minutes, Tier: v.Tier, Risk: v.Risk,
		Area: Area(v.Area), StartCode: v.StartCode,
	}
	if v.Principal != nil {
		b.Principal = new(showFace(v.Principal))
	}
	for i := range v.Officers {
		b.Team = append(b.Team, showFace(&v.Officers[i]))
	}
	if v.Rating != nil {
		b.Rating = new(BookingRating(*v.Rating))
	}
	if v.Booking == nil {
		return b, nil
	}
	b.showOrder(&v.Booking.Order)
	return b, b.showRest(v.Booking)
}

func (b *Booking) showOrder(o *fleet.Order) {
	b.LocalStart, b.Type, b.Level = o.LocalStart, o.Type, o.Level
	b.Pickup, b.Destination = showPlace(&o.Pickup), showPlace(o.Destination)
	for _, p := range o.Stops {
		b.Stops = append(b.Stops, BookingPlace(p))
	}
	b.Officers, b.Certifications, b.Gender, b.Languages = o.Officers, o.Certifications, o.Gender, o.Languages
	b.Preferred, b.ClientVehicle = o.Preferred, o.ClientVehicle
	b.OrderDetails = OrderDetails{Notes: o.Notes, Discretion: o.Discretion, Vehicle: o.Vehicle}
}

func (b *Booking) showRest(from *fleet.Booking) error {
	b.UserID, b.SeriesID, b.Seq, b.EndedBy, b.EndReason = from.User, from.Series, from.Seq, from.EndedBy, from.EndReason
	b.CreatedAt, b.Since, b.FundedAt, b.EnRouteAt = from.Created, from.Since, from.Funded, from.EnRoute
	b.ArrivedAt, b.StartedAt, b.EndedAt = from.Arrived, from.Started, from.Ended
	if len(from.Price) == 0 {
		return nil // the viewer is not told what it costs
	}
	b.Price, b.Total, b.Miles = new(tariff.Price), new(from.Total), miles(from.Metres)
	if from.Status.Ended() {
		b.Fee = new(from.Fee)
	}
	return json.Unmarshal(from.Price, b.Price)
}
