package dispatch

import (
	"context"
	"fmt"
	"time"

	"armora/fleet"
	"armora/tariff"
)

// The bounds of an order.
const (
	maxAhead   = 366 * 24 * time.Hour // from now to the start
	maxMinutes = 7 * 24 * 60
	maxStops   = 10
)

// Request is what a principal asks for. What they may not decide, such as the
// risk band, is put in by the hub, whatever it holds.
type Request struct {
	fleet.Order
	Fold  int  // 1: of a LocalStart that the clocks show twice, the later one
	Armed bool // there is no such thing: it is refused

	Account *fleet.OnAccount // when it is booked: who pays; nil: the principal
}

// flaws collects what is wrong with an order.
type flaws []fleet.Flaw

func (f *flaws) when(wrong bool, where, message string) {
	if wrong {
		*f = append(*f, fleet.Flaw{Location: where, Message: message})
	}
}

func (f *flaws) add(flaw *fleet.Flaw) {
	if flaw != nil {
		*f = append(*f, *flaw)
	}
}

func (f flaws) err() error {
	if len(f) == 0 {
		return nil
	}
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "this assignment cannot be: " + f[0].Message, Flaws: f}
}

// prepare completes a request and checks it: of an order for now, it starts now.
func (d *Desk) prepare(ctx context.Context, user fleet.UserID, r *Request, table *tariff.Table) error {
	if err := d.mayBook(ctx, user); err != nil {
		return err
	}
	if r.Armed {
		return &fleet.Error{Code: fleet.CodeArmed, Message: "there are no armed details: protection officers here work unarmed"}
	}
	o := &r.Order
	if o.Officers == 0 {
		o.Officers = 1
	}
	if o.Level == "" {
		o.Level = fleet.LevelStandard
	}
	if o.Zone == "" && o.Now() {
		o.Zone = table.Zone
	}
	o.ClientVehicle = o.ClientVehicle || o.Tier == fleet.ClientVehicle || o.Vehicle != ""
	var f flaws
	f.places(o)
	f.length(o, table)
	d.start(o, r.Fold, &f)
	if !o.Preferred.IsZero() {
		may, err := d.officers.MayPrefer(ctx, user, o.Preferred)
		if err != nil {
			return err
		}
		f.when(!may, "preferred_officer_id", "one can ask for officers who are listed, or who have protected one before")
	}
	assessment, err := d.questionnaires.Get(ctx, user)
	if err != nil {
		return err
	}
	o.Risk = string(assessment.Risk)
	return f.err()
}

// start works out when an order begins.
func (d *Desk) start(o *fleet.Order, fold int, f *flaws) {
	now := d.cfg.Clock.Now()
	if o.Now() {
		o.Start = now.UTC().Truncate(time.Second)
		_, err := zoneOf(o.Zone)
		f.when(err != nil, "zone", "a time zone of the IANA database, such as Europe/London")
		return
	}
	at, flaw := startOf(o.LocalStart, o.Zone, fold)
	if f.add(flaw); flaw != nil {
		return
	}
	o.Start = at
	f.when(at.Before(now), "local_start", "it is in the past")
	f.when(at.After(now.Add(maxAhead)), "local_start", "it is more than a year ahead")
}

// places checks where it is. Only who stays at one place needs no other.
func (f *flaws) places(o *fleet.Order) {
	there := o.Destination != nil
	f.when(o.Type == fleet.StaticProtection && (there || len(o.Stops) > 0), "destination", "static protection stays where it begins: it has no destination and no stops")
	f.when(o.Type == fleet.SecureTransfer && !there, "destination", "a secure transfer needs a destination")
	f.when(len(o.Stops) > maxStops, "stops", fmt.Sprintf("there are %d stops at most", maxStops))
}

// length checks for how long it is.
func (f *flaws) length(o *fleet.Order, table *tariff.Table) {
	f.when(o.Minutes < table.Minimum, "minutes", fmt.Sprintf("it is booked for %d minutes at least", table.Minimum))
	f.when(o.Minutes > maxMinutes, "minutes", "it is booked for 7 days at most")
	f.when(o.Minutes%table.Increment != 0, "minutes", fmt.Sprintf("it is booked by whole %d minutes", table.Increment))
}
