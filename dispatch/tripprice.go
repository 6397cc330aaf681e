package dispatch

import (
	"encoding/json"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// priced is a booking as its tariff sees it. A tariff that is none is an error.
func priced(b *fleet.Booking) (table tariff.Table, trip tariff.Trip, err error) {
	if err = json.Unmarshal(b.Tariff, &table); err == nil {
		err = table.Check()
	}
	return table, tariff.Trip{
		Tier: b.Tier, Start: b.Start, Zone: b.Zone, Time: b.Booked(), Metres: b.Metres, Officers: b.Officers, Member: b.Member,
	}, err
}

// complete ends a trip and says what it costs. A price that cannot be worked out
// keeps nobody from going home: then it is what was quoted, and the event says so.
//
// The time that is billed runs from the start, as the lead told it and not before
// they were there, to the end, as the lead told it and not after they had left the
// destination of a transfer, as far as that is known.
func (t *Trips) complete(c *schema.BookingTx, e schema.Event) error {
	began, ended := c.Started, e.Occurred
	if lead := c.Lead(); lead != nil && c.Type == fleet.SecureTransfer {
		presence, err := c.Presence()
		if err != nil {
			return err
		}
		for _, p := range presence {
			at, _ := pointOf(&c.Booking, fleet.AtDestination)
			here := p.Place == fleet.AtDestination && at == (eta.Point{Lat: p.Lat, Lon: p.Lon})
			if here && p.Driver == lead.Driver && !p.Inside && p.Since.After(began) && p.Since.Before(ended) {
				ended = p.Since
			}
		}
	}
	if longest := began.Add(tariff.MaxTime); ended.After(longest) {
		ended = longest
	}
	data, ok := e.Data.(map[string]any)
	if !ok {
		data = map[string]any{}
	}
	data["billed_from"], data["billed_to"] = began.UTC().Format(time.RFC3339), ended.UTC().Format(time.RFC3339)
	c.Fee = c.Total
	table, trip, err := priced(&c.Booking)
	if err == nil {
		var price tariff.Price
		if price, err = table.Final(trip, began, ended); err == nil {
			c.Fee, data["price"] = price.Total, price
		}
	}
	if err != nil {
		t.log.Error("the final price of a trip cannot be worked out, it is the quoted one", "booking", c.ID, "error", err)
		data["price_as_quoted"] = true
	}
	e.Data, e.Kind = data, "completed"
	return c.Move(fleet.Completed, e)
}
