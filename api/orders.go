package api

import (
	"reflect"

	"armora/dispatch"
	"armora/fleet"
)

// BookingPlace is where an assignment begins, stops or ends.
type BookingPlace struct {
	Lat   float64 `json:"lat" minimum:"-90" maximum:"90" doc:"Degrees, WGS 84"`
	Lon   float64 `json:"lon" minimum:"-180" maximum:"180" doc:"Degrees, WGS 84"`
	Label string  `json:"label,omitempty" maxLength:"200" doc:"As a person would write it"`
}

// OrderCore is what no order is without.
type OrderCore struct {
	Type    fleet.AssignmentType `json:"type" enum:"secure_transfer,close_protection,static_protection" doc:"From one place to another, at the principal's side wherever they go, or at one place"`
	Tier    fleet.Tier           `json:"tier" enum:"essential,executive,shadow,client_vehicle"`
	Pickup  BookingPlace         `json:"pickup" doc:"The commencement point"`
	Minutes int                  `json:"minutes" minimum:"30" maximum:"10080" doc:"For how long, by whole half hours, from the tariff's minimum to 7 days"`
}

// OrderCoreIfAny is OrderCore where a quote may stand in its place.
type OrderCoreIfAny struct {
	Type    fleet.AssignmentType `json:"type,omitempty" enum:"secure_transfer,close_protection,static_protection" doc:"From one place to another, at the principal's side wherever they go, or at one place"`
	Tier    fleet.Tier           `json:"tier,omitempty" enum:"essential,executive,shadow,client_vehicle"`
	Pickup  BookingPlace         `json:"pickup,omitzero" doc:"The commencement point"`
	Minutes int                  `json:"minutes,omitempty" minimum:"30" maximum:"10080" doc:"For how long, by whole half hours, from the tariff's minimum to 7 days"`
}

// OrderDetails are what may be said of an order later, with its quote.
type OrderDetails struct {
	Notes      string `json:"notes,omitempty" maxLength:"2000" doc:"For the officers, once they have accepted"`
	Discretion string `json:"discretion,omitempty" maxLength:"500" doc:"How the officers should appear"`
	Vehicle    string `json:"vehicle,omitempty" maxLength:"200" doc:"The principal's own, so that the officers know it"`
}

// OrderWishes are the rest of an order. What is left out is the usual.
type OrderWishes struct {
	LocalStart     string                `json:"local_start,omitempty" maxLength:"16" pattern:"^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}$" example:"2027-03-28T10:00" doc:"By the clocks of the zone, at most a year ahead; absent: now. A time that they leave out is refused, with the next one that they show"`
	Zone           string                `json:"zone,omitempty" maxLength:"60" doc:"IANA time zone; needed with local_start" example:"Europe/London"`
	Fold           int                   `json:"fold,omitempty" minimum:"0" maximum:"1" doc:"Of a local_start that the clocks show twice: 0 the earlier, 1 the later"`
	Destination    *BookingPlace         `json:"destination,omitempty" doc:"Needed for a secure transfer; static protection has none"`
	Stops          []BookingPlace        `json:"stops,omitempty" maxItems:"10" doc:"On the way, in order"`
	Level          fleet.ProtectionLevel `json:"level,omitempty" enum:"discreet,standard,enhanced,armed" doc:"Absent: standard. Armed is refused: officers work unarmed"`
	Armed          bool                  `json:"armed,omitempty" doc:"True is refused: officers work unarmed"`
	Officers       int                   `json:"officers,omitempty" minimum:"1" maximum:"10" doc:"How many, the lead among them; absent: one"`
	Certifications []string              `json:"certifications,omitempty" maxItems:"10" doc:"That every officer has to have"`
	Gender         fleet.Gender          `json:"officer_gender,omitempty" enum:"female,male,other" doc:"Of the officers; absent: any"`
	Languages      []string              `json:"languages,omitempty" maxItems:"10" doc:"BCP 47; the lead speaks one of them"`
	Preferred      fleet.DriverID        `json:"preferred_officer_id,omitzero" format:"uuid" doc:"Asked first: an officer who is listed at /api/officers, or has protected the principal before"`
	ClientVehicle  bool                  `json:"client_vehicle,omitempty" doc:"In the principal's own vehicle"`
}

// Order is what a principal asks for.
type Order struct {
	OrderCore
	OrderWishes
	OrderDetails
}

// request is an order as the desk takes it.
func (o *Order) request() dispatch.Request {
	r := dispatch.Request{Fold: o.Fold, Armed: o.Armed || o.Level == "armed", Order: fleet.Order{
		Zone: o.Zone, LocalStart: o.LocalStart, Minutes: o.Minutes, Type: o.Type, Tier: o.Tier, Level: o.Level,
		Pickup: fleet.Place(o.Pickup), Stops: places(o.Stops), Officers: o.Officers, Certifications: o.Certifications, Gender: o.Gender,
		Languages: o.Languages, Preferred: o.Preferred, ClientVehicle: o.ClientVehicle,
		Notes: o.Notes, Discretion: o.Discretion, Vehicle: o.Vehicle,
	}}
	if o.Destination != nil {
		r.Destination = new(fleet.Place(*o.Destination))
	}
	return r
}

func places(from []BookingPlace) []fleet.Place {
	var to []fleet.Place
	for _, p := range from {
		to = append(to, fleet.Place(p))
	}
	return to
}

// NewBooking is either a quote or an order.
type NewBooking struct {
	QuoteID fleet.QuoteID `json:"quote_id,omitzero" format:"uuid" doc:"Booked at its price; then the order is the quote's, and notes, discretion and vehicle alone may be added"`
	OrderCoreIfAny
	OrderWishes
	OrderDetails
	Account *OnAccount `json:"account,omitempty" doc:"Paid by the organisation on whose account you book; absent: by you"`
}

// order is the order, of one without a quote.
func (b *NewBooking) order() (*Order, error) {
	o := &Order{OrderCore(b.OrderCoreIfAny), b.OrderWishes, b.OrderDetails}
	var flaws []fleet.Flaw
	for name, missing := range map[string]bool{
		"type": o.Type == "", "tier": o.Tier == "", "pickup": o.Pickup == BookingPlace{}, "minutes": o.Minutes == 0,
	} {
		if missing {
			flaws = append(flaws, fleet.Flaw{Location: name, Message: "it is needed, or else a quote_id"})
		}
	}
	if len(flaws) > 0 {
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "book a quote_id, or an order with type, tier, pickup and minutes", Flaws: flaws}
	}
	return o, nil
}

// bare reports whether there is nothing of an order but what may be added to a
// quote.
func (b *NewBooking) bare() bool {
	return reflect.ValueOf(b.OrderCoreIfAny).IsZero() && reflect.ValueOf(b.OrderWishes).IsZero()
}
