package dispatch_test

import (
	"context"
	"errors"
	"testing"

	"armora/dispatch"
	"armora/fleet"
)

// Nobody books, once or again and again, before they have agreed to what is required;
// a quote tells what it would cost.
func TestConsentsAreNeededToBook(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	lacking := []fleet.ConsentDocument{{Kind: "terms", Version: 2, Title: "Terms of service"}}
	var away error
	cfg := d.config()
	cfg.Lacking = func(_ context.Context, user fleet.UserID) ([]fleet.ConsentDocument, error) {
		if user != d.user {
			t.Errorf("asked of %s", user)
		}
		return lacking, away
	}
	desk := dispatch.NewDesk(cfg)
	ctx := t.Context()
	q, err := desk.Quote(ctx, d.user, transfer())
	d.ok(err)
	_, err = desk.BookQuote(ctx, d.user, q.ID, dispatch.Details{})
	d.code(err, fleet.CodeConsentNeeded)
	if refusal, ok := errors.AsType[*fleet.Error](err); !ok || len(refusal.Flaws) != 1 || refusal.Flaws[0].Location != "consents.terms" {
		t.Errorf("refused with %+v", err)
	}
	_, err = desk.Book(ctx, d.user, transfer())
	d.code(err, fleet.CodeConsentNeeded)
	rule := fleet.Recurrence{Every: 1, Count: 3}
	_, err = desk.Repeat(ctx, d.user, transfer(at("2027-03-02T12:00")), rule)
	d.code(err, fleet.CodeConsentNeeded)
	lacking, away = nil, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away"}
	_, err = desk.Book(ctx, d.user, transfer())
	d.code(err, fleet.CodeUnavailable)
	away = nil
	v, err := desk.BookQuote(ctx, d.user, q.ID, dispatch.Details{}) // the quote is good still
	d.ok(err)
	s, err := desk.Repeat(ctx, d.user, transfer(at("2027-03-02T12:00")), rule)
	d.ok(err)
	// A new version of the terms: the series waits for the person, and what is booked stays.
	lacking = []fleet.ConsentDocument{{Kind: "terms", Version: 3}}
	d.clock.Advance(8 * 7 * 24 * 60 * 60 * 1e9)
	d.ok(desk.MakeSeries(ctx))
	if got := d.get(v.ID); got.Status.Ended() {
		t.Errorf("it is %s", got.Status)
	}
	if got, err := desk.Series(ctx, d.user, s.ID); err != nil || got.Made != 3 {
		t.Errorf("%d of the series were made, %v", got.Made, err)
	}
}
