package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

// Offer is an offer as its officer sees it.
type Offer struct {
	ID          fleet.OfferID    `json:"id" format:"uuid"`
	BookingID   fleet.BookingID  `json:"booking_id" format:"uuid"`
	State       fleet.OfferState `json:"state" enum:"open,accepted,declined,expired,withdrawn"`
	Reason      string           `json:"reason,omitempty"`
	Area        *Area            `json:"area,omitempty"`
	StartsAt    time.Time        `json:"starts_at,omitzero"`
	Zone        string           `json:"zone,omitempty" doc:"IANA, of the place"`
	Minutes     int              `json:"minutes,omitempty" doc:"How long it is booked for"`
	Tier        fleet.Tier       `json:"tier,omitempty"`
	Risk        string           `json:"risk,omitempty" doc:"The principal's risk band"`
	Lead        bool             `json:"lead" doc:"Whether it is the lead's seat"`
	PayEstimate *fleet.Money     `json:"pay_estimate,omitempty" doc:"In minor units, for the booked time"`
	PickupS     int              `json:"pickup_seconds" doc:"Until you would be there, as estimated when it was made"`
	CreatedAt   time.Time        `json:"created_at"`
	DeliveredAt time.Time        `json:"delivered_at,omitzero" doc:"When a phone of yours had it"`
	ExpiresAt   time.Time        `json:"expires_at"`
}

// Area is where something is, to half a kilometre.
type Area struct {
	Lat float64 `json:"lat" doc:"Of its middle, degrees, WGS 84"`
	Lon float64 `json:"lon" doc:"Of its middle, degrees, WGS 84"`
}

// OpenWork is planned work that an officer may ask for.
type OpenWork struct {
	BookingID   fleet.BookingID `json:"booking_id" format:"uuid"`
	Area        Area            `json:"area"`
	StartsAt    time.Time       `json:"starts_at"`
	Zone        string          `json:"zone" doc:"IANA, of the place"`
	Minutes     int             `json:"minutes" doc:"How long it is booked for"`
	Tier        fleet.Tier      `json:"tier"`
	Risk        string          `json:"risk,omitempty" doc:"The principal's risk band"`
	Lead        bool            `json:"lead" doc:"Whether it is the lead's seat"`
	PayEstimate *fleet.Money    `json:"pay_estimate,omitempty" doc:"In minor units, for the booked time"`
}

type (
	offerPath struct {
		ID fleet.OfferID `path:"id" format:"uuid"`
	}
	declineInput struct {
		ID   fleet.OfferID `path:"id" format:"uuid"`
		Body struct {
			Reason string `json:"reason,omitempty" maxLength:"500"`
		} `required:"false"`
	}
	offerOutput    struct{ Body Offer }
	openWorkOutput struct {
		Body struct {
			Items []OpenWork `json:"items"`
		}
	}
	askInput struct {
		Booking fleet.BookingID `path:"booking" format:"uuid"`
	}
)

func (s *Server) addOffers() {
	self := only(fleet.RoleDriver)
	route(s, self, huma.Operation{
		OperationID: "list-own-offers", Method: http.MethodGet, Path: "/api/offers",
		Summary: "List what you were offered, the newest first", Tags: []string{"offers"},
	}, s.listOffers)
	route(s, self, huma.Operation{
		OperationID: "list-open-work", Method: http.MethodGet, Path: "/api/offers/open",
		Summary: "List the planned work that you may ask for, the soonest first", Tags: []string{"offers"},
	}, s.listOpenWork)
	route(s, self, huma.Operation{
		OperationID: "ask-for-work", Method: http.MethodPost, Path: "/api/offers/open/{booking}/ask",
		Summary: "Ask for planned work: you have it, or it is a conflict", Tags: []string{"offers"},
	}, s.askForWork)
	route(s, self, huma.Operation{
		OperationID: "accept-offer", Method: http.MethodPost, Path: "/api/offers/{id}/accept",
		Summary:     "Accept an offer",
		Description: "Accepted again, the answer is the same. One that has expired, was declined or withdrawn is a conflict.",
		Tags:        []string{"offers"},
	}, s.acceptOffer)
	route(s, self, huma.Operation{
		OperationID: "decline-offer", Method: http.MethodPost, Path: "/api/offers/{id}/decline",
		Summary: "Decline an offer; you are not asked for this booking again", Tags: []string{"offers"},
	}, s.declineOffer)
}

func (s *Server) listOffers(ctx context.Context, in *PageQuery) (*pageOutput[Offer], error) {
	var before fleet.OfferID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	own, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Engine.Offers(ctx, own.ID, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, showOffer, func(o dispatch.OwnOffer) any { return o.ID })
}

func showOffer(o dispatch.OwnOffer) Offer {
	shown := bareOffer(o.Offer)
	g := o.Glimpse
	shown.Area, shown.StartsAt, shown.Zone, shown.Minutes = &Area{g.Area.Lat, g.Area.Lon}, g.Start, g.Zone, g.Minutes
	shown.Tier, shown.Risk, shown.Lead, shown.PayEstimate = g.Tier, g.Risk, o.Lead, o.Pay
	return shown
}

func bareOffer(o fleet.Offer) Offer {
	return Offer{
		ID: o.ID, BookingID: o.Booking, State: o.State, Reason: o.Reason, PickupS: int(o.Pickup / time.Second),
		CreatedAt: o.Created, DeliveredAt: o.Delivered, ExpiresAt: o.Expires,
	}
}

func (s *Server) listOpenWork(ctx context.Context, _ *struct{}) (*openWorkOutput, error) {
	own, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	work, err := s.cfg.Engine.OpenFor(ctx, own.ID)
	if err != nil {
		return nil, err
	}
	out := &openWorkOutput{}
	out.Body.Items = make([]OpenWork, 0, len(work))
	for _, w := range work {
		out.Body.Items = append(out.Body.Items, OpenWork{
			BookingID: w.Booking, Area: Area{w.Area.Lat, w.Area.Lon}, StartsAt: w.Start, Zone: w.Zone, Minutes: w.Minutes,
			Tier: w.Tier, Risk: w.Risk, Lead: w.Lead, PayEstimate: w.Pay,
		})
	}
	return out, nil
}

func (s *Server) askForWork(ctx context.Context, in *askInput) (*offerOutput, error) {
	return s.reply(ctx, func(driver fleet.DriverID, by fleet.Actor) (fleet.Offer, error) {
		return s.cfg.Engine.Ask(ctx, driver, in.Booking, by)
	})
}

func (s *Server) acceptOffer(ctx context.Context, in *offerPath) (*offerOutput, error) {
	return s.reply(ctx, func(driver fleet.DriverID, by fleet.Actor) (fleet.Offer, error) {
		return s.cfg.Engine.Accept(ctx, driver, in.ID, by)
	})
}

func (s *Server) declineOffer(ctx context.Context, in *declineInput) (*offerOutput, error) {
	return s.reply(ctx, func(driver fleet.DriverID, by fleet.Actor) (fleet.Offer, error) {
		return s.cfg.Engine.Decline(ctx, driver, in.ID, by, in.Body.Reason)
	})
}

// reply answers for the driver that the caller is.
func (s *Server) reply(ctx context.Context, do func(fleet.DriverID, fleet.Actor) (fleet.Offer, error)) (*offerOutput, error) {
	own, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	o, err := do(own.ID, fleet.Actor{Kind: fleet.ByOfficer, User: own.User})
	if err != nil {
		return nil, err
	}
	return &offerOutput{Body: bareOffer(o)}, nil
}
