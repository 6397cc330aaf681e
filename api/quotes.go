package api

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/tariff"
)

// Quote is what an order costs, for as long as it is good.
type Quote struct {
	ID        fleet.QuoteID `json:"id" format:"uuid"`
	ExpiresAt time.Time     `json:"expires_at" doc:"Until then it can be booked, once, at this price"`
	StartsAt  time.Time     `json:"starts_at" doc:"Of an order for now, when it was quoted"`
	Zone      string        `json:"zone"`
	Minutes   int           `json:"minutes"`
	Officers  int           `json:"officers"`
	Miles     float64       `json:"miles" doc:"The way from the commencement point through the stops to the destination, as the hub works it out"`
	Price     tariff.Price  `json:"price" doc:"VAT included"`
	Total     fleet.Money   `json:"total"`
	Pickup    *int          `json:"pickup_seconds,omitempty" doc:"How long the nearest officer would take to the commencement point now; absent if there is none"`
}

type quoteOutput struct{ Body Quote }

// principals may book.
func principals() access { return only(fleet.RoleRider) }

func (s *Server) addQuotes() {
	route(s, principals(), huma.Operation{
		OperationID: "create-quote", Method: http.MethodPost, Path: "/api/quotes", DefaultStatus: http.StatusCreated,
		Summary: "What an assignment would cost: a quote is good for 15 minutes", Tags: []string{"assignments"},
	}, s.createQuote)
}

func (s *Server) createQuote(ctx context.Context, in *struct{ Body Order }) (*quoteOutput, error) {
	q, err := s.cfg.Desk.Quote(ctx, callerOf(ctx).User, in.Body.request())
	if err != nil {
		return nil, err
	}
	out := &quoteOutput{Body: Quote{
		ID: q.ID, ExpiresAt: q.Expires, StartsAt: q.Order.Start, Zone: q.Order.Zone, Minutes: q.Order.Minutes, Officers: q.Order.Officers,
		Miles: miles(q.Metres), Total: q.Total,
	}}
	if err := json.Unmarshal(q.Price, &out.Body.Price); err != nil {
		return nil, err
	}
	if took, ok := s.cfg.Desk.Pickup(ctx, q.Order.Tier, q.Order.Pickup); ok && q.Order.Now() {
		out.Body.Pickup = new(int(took.Seconds()))
	}
	return out, nil
}

// miles rounds to hundredths.
func miles(metres int) float64 { return math.Round(float64(metres)/16.09344) / 100 }
