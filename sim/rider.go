package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// How principals behave.
const (
	pollEvery    = 2 * time.Second // an app looks how its booking stands
	riderGivesUp = 12 * time.Minute
)

// rider is a principal with an app: now and then they book an officer to take
// them somewhere, show the start code, and say what they thought of it.
type rider struct {
	*web
	city   *City
	random *rand.Rand
	every  time.Duration // mean time between the end of one booking and the next
	stripe string        // "": nothing is to be paid
	codes  *codes
	tally  *tripTally
	log    func(msg string, err error)
}

// booking is what an app reads of one.
type booking struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	Pickup      *place `json:"pickup"`
	Destination *place `json:"destination"`
	StartCode   string `json:"start_code"`
}

type place struct {
	Lat   float64 `json:"lat"`
	Lon   float64 `json:"lon"`
	Label string  `json:"label,omitempty"`
}

func (p *place) position() Position { return PositionAt(p.Lat, p.Lon) }

// ended reports whether nothing more will happen to a booking.
func (b *booking) ended() bool {
	switch b.Status {
	case "completed", "cancelled", "no_show", "unfulfilled":
		return true
	}
	return false
}

// live books again and again until ctx ends, once what they had booked before is
// over.
func (r *rider) live(ctx context.Context) {
	err := r.resume(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			r.tally.failed.Add(1)
			r.log("a principal's booking went wrong", err)
		}
		if !pause(ctx, time.Duration(r.random.ExpFloat64()*float64(r.every))) {
			return
		}
		err = r.travel(ctx)
	}
}

func (r *rider) resume(ctx context.Context) error {
	var past struct {
		Items []booking `json:"items"`
	}
	if err := r.do(ctx, http.MethodGet, "/api/bookings/history?limit=5", "", nil, &past); err != nil {
		return fmt.Errorf("look up what was booked: %w", err)
	}
	for _, b := range past.Items {
		if b.ended() {
			continue
		}
		if err := r.follow(ctx, b, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// travel is one booking, from the quote to its end.
func (r *rider) travel(ctx context.Context) error {
	asked := time.Now()
	b, err := r.book(ctx)
	if err != nil {
		return err
	}
	r.tally.asked.Add(1)
	if err := r.pay(ctx, b); err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	return r.follow(ctx, b, asked)
}

// follow looks how a booking stands until it is over.
func (r *rider) follow(ctx context.Context, b booking, asked time.Time) error {
	defer r.codes.forget(b.ID)
	for status := b.Status; !b.ended(); {
		if b.StartCode != "" {
			r.codes.show(b.ID, b.StartCode)
		}
		if !pause(ctx, pollEvery) {
			return nil
		}
		if err := r.do(ctx, http.MethodGet, "/api/bookings/"+b.ID, "", nil, &b); err != nil {
			return fmt.Errorf("look at a booking: %w", err)
		}
		if b.Status != status && b.Status == "arrived" {
			r.tally.waited(time.Since(asked))
		}
		status = b.Status
		if waiting := status == "searching" || status == "offered" || status == "scheduled"; waiting && time.Since(asked) > riderGivesUp {
			err := r.do(ctx, http.MethodPut, "/api/bookings/"+b.ID+"/cancel", "", map[string]any{"reason": "nobody came"}, nil)
			if err != nil && !refusedAs(err, http.StatusConflict) { // then somebody came after all
				return fmt.Errorf("cancel: %w", err)
			}
		}
	}
	if b.Status != "completed" {
		return nil
	}
	stars := map[string]any{"stars": 3 + r.random.IntN(3)}
	err := r.do(ctx, http.MethodPost, "/api/bookings/"+b.ID+"/rate", "rate-"+b.ID, stars, nil)
	if err != nil && !refusedAs(err, http.StatusConflict) { // it was rated before the simulation ended
		return fmt.Errorf("rate: %w", err)
	}
	return nil
}

func (r *rider) book(ctx context.Context) (b booking, err error) {
	from, to := r.city.At(r.somewhere()), r.city.At(r.somewhere())
	tiers := []string{"essential", "essential", "executive", "shadow"}
	order := map[string]any{
		"type": "secure_transfer", "tier": tiers[r.random.IntN(len(tiers))], "minutes": 120,
		"pickup": placeOf(from, "the commencement point"), "destination": placeOf(to, "the destination"),
	}
	key := fmt.Sprintf("sim-%016x%016x", r.random.Uint64(), r.random.Uint64())
	var quote struct {
		ID string `json:"id"`
	}
	if err := r.do(ctx, http.MethodPost, "/api/quotes", key+"-quote", order, &quote); err != nil {
		return b, fmt.Errorf("ask for a quote: %w", err)
	}
	if err := r.do(ctx, http.MethodPost, "/api/bookings", key, map[string]any{"quote_id": quote.ID}, &b); err != nil {
		return b, fmt.Errorf("book: %w", err)
	}
	return b, nil
}

func (r *rider) somewhere() Junction { return Junction(r.random.IntN(r.city.Junctions())) }

func placeOf(p Position, label string) place {
	lat, lon := p.LatLon()
	return place{Lat: lat, Lon: lon, Label: label}
}
