package dispatch

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"armora/fleet"
	"armora/schema"
)

// misfit is why a tap does not fit the trip as it is.
type misfit string

// Error implements error.
func (m misfit) Error() string { return string(m) }

func refuse(code fleet.Code, format string, args ...any) error {
	return &fleet.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// carriedOut is the resolution of a tap that had to wait.
const carriedOut = "carried out"

// As returns as whom a user acts on a booking: as the officer of a seat that they
// have or had, as its principal, or else as ops if they are and see the principal.
// To anybody else there is no such booking.
func (t *Trips) As(ctx context.Context, user fleet.UserID, ops bool, booking fleet.BookingID) (fleet.Actor, fleet.DriverID, error) {
	_, err := t.ByOfficer(ctx, user, booking)
	if err == nil {
		own, err := t.drivers.Own(ctx, user)
		return fleet.Actor{Kind: fleet.ByOfficer, User: user}, own.ID, err
	}
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		if _, err = t.Of(ctx, user, booking); err == nil {
			return fleet.Actor{Kind: fleet.ByPrincipal, User: user}, fleet.DriverID{}, nil
		}
	}
	if fleet.CodeOf(err) == fleet.CodeNotFound && ops {
		if _, err = t.VisibleTo(ctx, user, booking); err == nil {
			return fleet.Actor{Kind: fleet.ByOps, User: user}, fleet.DriverID{}, nil
		}
	}
	return fleet.Actor{}, fleet.DriverID{}, err
}

// mayGive says which kinds of command each kind of actor gives. Ops give all.
var mayGive = map[fleet.ActorKind]map[fleet.TripCommandKind]bool{
	fleet.ByOfficer: {
		fleet.TapEnRoute: true, fleet.TapArrive: true, fleet.TapStart: true, fleet.TapComplete: true, fleet.TapNoShow: true,
		fleet.AskRelease: true, fleet.AskRelief: true, fleet.AskHandover: true,
	},
	fleet.ByPrincipal: {fleet.AskExtend: true},
}

// Do carries out a command of somebody who As says may act on its booking, and
// returns the booking as it then is. Given again it changes nothing. An officer's
// tap that does not fit the trip is kept, alarms ops, and is CodeConflict; given
// again it is tried again.
func (t *Trips) Do(ctx context.Context, cmd fleet.TripCommand) (fleet.Booking, error) {
	if err := t.check(&cmd); err != nil {
		return fleet.Booking{}, err
	}
	b, err := t.do(ctx, cmd)
	outcome := "taken"
	if err != nil {
		outcome = string(fleet.CodeOf(err))
	}
	t.metrics.commands.WithLabelValues(string(cmd.Kind), outcome).Inc()
	return b, err
}

func (t *Trips) do(ctx context.Context, cmd fleet.TripCommand) (fleet.Booking, error) {
	if cmd.Kind == fleet.TapStart && cmd.By.Kind == fleet.ByOfficer {
		if err := t.checkStartCode(ctx, &cmd); err != nil {
			return fleet.Booking{}, err
		}
	}
	if cmd.Kind == fleet.AskExtend {
		return t.extend(ctx, cmd)
	}
	return t.carryOut(ctx, cmd, func(c *schema.BookingTx, cmd *fleet.TripCommand) error {
		switch cmd.Kind {
		case fleet.AskRelease:
			return t.release(c, cmd)
		case fleet.AskRelief:
			return t.relief(c, cmd)
		case fleet.AskHandover:
			return t.handover(c, cmd)
		}
		return t.tap(c, cmd)
	})
}

// check judges what a command says of itself.
func (t *Trips) check(cmd *fleet.TripCommand) error {
	now := t.clock.Now()
	cmd.Received = now
	if cmd.Occurred.IsZero() {
		cmd.Occurred = now
	}
	switch {
	case cmd.By.Kind != fleet.ByOps && !mayGive[cmd.By.Kind][cmd.Kind]:
		return refuse(fleet.CodeForbidden, "this is not yours to do")
	case cmd.ID.IsZero():
		return refuse(fleet.CodeInvalid, "id is missing: make one up for each thing that happens")
	case cmd.Occurred.After(now.Add(t.rules.ClockAhead)):
		return refuse(fleet.CodeInvalid, "occurred_at has not come yet")
	case cmd.Reason == "" && (cmd.By.Kind == fleet.ByOps || cmd.Kind == fleet.AskRelease || cmd.Kind == fleet.AskRelief):
		return refuse(fleet.CodeInvalid, "reason is missing")
	}
	if cmd.Occurred.After(now) {
		cmd.Occurred = now
	}
	return nil
}

// checkStartCode has the officer show that the principal is theirs. Wrong guesses
// make whoever guesses wait, and nobody else: the first three cost nothing.
func (t *Trips) checkStartCode(ctx context.Context, cmd *fleet.TripCommand) error {
	at := schema.Guessed{Target: []byte("start code/" + cmd.Booking.String() + "/" + cmd.Driver.String()), Free: 3, Most: 10 * time.Minute}
	from := schema.Guessed{Target: []byte("start code by/" + cmd.Driver.String()), Free: 10, Most: 10 * time.Minute}
	if err := t.guesses.Guess(ctx, t.clock.Now(), at, from); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(cmd.Code), []byte(t.startCode(cmd.Booking))) != 1 {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "this is not the principal's start code",
			Flaws: []fleet.Flaw{{Location: "code", Message: "is not the one that the principal shows"}}}
	}
	return t.guesses.Right(ctx, at, from)
}

// carryOut runs a command once, whatever how often it is given.
func (t *Trips) carryOut(ctx context.Context, cmd fleet.TripCommand, do func(*schema.BookingTx, *fleet.TripCommand) error) (fleet.Booking, error) {
	var conflict string
	b, err := t.change(ctx, cmd.Booking, func(c *schema.BookingTx) error {
		conflict = ""
		given, again, err := c.Command(cmd.ID)
		if err != nil {
			return err
		}
		cmd := cmd // a run that failed leaves nothing behind
		if again {
			switch {
			case given.Kind != cmd.Kind || !cmd.Driver.IsZero() && given.Driver != cmd.Driver:
				return refuse(fleet.CodeInvalid, "another command has this id")
			case given.Conflict == "" || given.Resolution == carriedOut:
				return nil
			case !given.Resolved.IsZero():
				conflict = given.Conflict
				return nil
			}
			cmd.Occurred, cmd.Received = given.Occurred, given.Received
		}
		err = c.Attempt(func() error { return do(c, &cmd) })
		reason, unfit := errors.AsType[misfit](err)
		switch {
		case unfit && cmd.By.Kind != fleet.ByOfficer: // they see it now
			return refuse(fleet.CodeConflict, "%s", string(reason))
		case err != nil && !unfit:
			return err
		}
		if conflict = string(reason); unfit {
			cmd.Conflict = conflict
			if err := c.Alert(fleet.AlertConflict, cmd.Driver); err != nil {
				return err
			}
		}
		return t.keep(c, &cmd, again)
	})
	if err == nil && conflict != "" {
		return b, &fleet.Error{Code: fleet.CodeConflict, Message: conflict + "; it is kept, and ops have been told"}
	}
	return b, err
}

// keep keeps a command, and carries out what had to wait for it.
func (t *Trips) keep(c *schema.BookingTx, cmd *fleet.TripCommand, again bool) error {
	if cmd.Conflict != "" {
		return c.Keep(cmd)
	}
	if again {
		cmd.Resolved, cmd.Resolution = c.Now, carriedOut
	}
	if err := c.Keep(cmd); err != nil {
		return err
	}
	if !cmd.Kind.Tap() {
		return nil
	}
	return t.retry(c)
}

// retry carries out the taps that fit by now: those that came before the one that
// they follow. Ops are left alone with what still does not.
func (t *Trips) retry(c *schema.BookingTx) error {
	for progress := true; progress; {
		progress = false
		waiting, err := c.Waiting()
		if err != nil {
			return err
		}
		for i := range waiting {
			w := &waiting[i]
			w.By.Kind = fleet.ByOfficer
			err := c.Attempt(func() error { return t.tap(c, w) })
			if _, unfit := errors.AsType[misfit](err); unfit || fleet.CodeOf(err) != fleet.CodeInternal {
				continue
			}
			if err != nil {
				return err
			}
			w.Resolved, w.Resolution, progress = c.Now, carriedOut, true
			if err := c.Keep(w); err != nil {
				return err
			}
		}
		if len(waiting) == 0 {
			return c.Settle(fleet.DriverID{}, "every tap has been carried out", fleet.AlertConflict)
		}
	}
	return nil
}

// Resolve is what ops make of a tap that does not fit: it is carried out if it can
// be by now, or dismissed.
func (t *Trips) Resolve(ctx context.Context, booking fleet.BookingID, id fleet.TripCommandID, by fleet.Actor, carry bool, note string) (fleet.Booking, error) {
	return t.change(ctx, booking, func(c *schema.BookingTx) error {
		cmd, ok, err := c.Command(id)
		switch {
		case err != nil:
			return err
		case !ok || cmd.Conflict == "":
			return refuse(fleet.CodeNotFound, "no such conflict")
		case !cmd.Resolved.IsZero():
			return refuse(fleet.CodeConflict, "the conflict is resolved already")
		}
		cmd.By, cmd.Reason, cmd.Resolved, cmd.Resolution = by, note, c.Now, "dismissed: "+note
		if carry {
			cmd.Resolution = carriedOut
			err := t.tap(c, &cmd)
			if reason, unfit := errors.AsType[misfit](err); unfit {
				return refuse(fleet.CodeConflict, "it still does not fit: %s", string(reason))
			}
			if err != nil {
				return err
			}
		}
		if err := c.Keep(&cmd); err != nil {
			return err
		}
		data := map[string]any{"command": id, "kind": cmd.Kind, "resolution": cmd.Resolution}
		if err := c.Note(schema.Event{Kind: "conflict_resolved", By: by, Data: data}); err != nil {
			return err
		}
		return t.retry(c)
	})
}
