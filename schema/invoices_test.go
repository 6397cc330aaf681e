package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// paperOf is a paper of a booking that is not issued yet.
func paperOf(b fleet.Booking, cause string, total fleet.Money, corrects fleet.InvoiceID) schema.Paper {
	i := fleet.Invoice{ID: fleet.NewID[fleet.Invoice](), Kind: fleet.PlainInvoice, User: b.User, Booking: b.ID, Issued: noon, Total: total,
		VAT: fleet.Pence(0), Corrects: corrects, Document: json.RawMessage(`{}`)}
	if !corrects.IsZero() {
		i.Kind = fleet.CreditNote
	}
	return schema.Paper{Series: i.Kind.Series(2026), Cause: cause, Write: func(number string) (fleet.Invoice, error) {
		i.Number = number
		return i, nil
	}}
}

// Many at once, some of which fail or come twice: the numbers are 1 to n all the
// same.
func TestNumbersHaveNoGaps(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	b, invoices := newBooking(t, db, newUser(t, db), noon, 1), schema.Invoices{DB: db}
	const workers, each = 8, 12
	broken := errors.New("no ink")
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				p := paperOf(b, fmt.Sprintf("of/%d", (w/2)*each+n), fleet.Pounds(1), fleet.InvoiceID{}) // each cause by two workers
				if n%3 == 0 {
					failing := p
					failing.Write = func(string) (fleet.Invoice, error) { return fleet.Invoice{}, broken }
					if made, err := invoices.Issue(t.Context(), failing); made || err != nil && !errors.Is(err, broken) {
						t.Errorf("a paper that cannot be written: %v, %v", made, err)
					}
				}
				if n%4 == 0 { // whose transaction fails once the number is taken
					failing := p
					failing.Told = func(fleet.User) ([]fleet.Notice, error) { return nil, broken }
					if made, err := invoices.Issue(t.Context(), failing); made || err != nil && !errors.Is(err, broken) {
						t.Errorf("a paper whose reader cannot be told: %v, %v", made, err)
					}
				}
				if _, err := invoices.Issue(t.Context(), p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	numbers := column(t.Context(), t, db, `SELECT number FROM invoices ORDER BY number`)
	if len(numbers) != workers/2*each {
		t.Errorf("%d papers, want %d", len(numbers), workers/2*each)
	}
	for i, number := range numbers {
		if want := fmt.Sprintf("ARM-2026-%06d", i+1); number != want {
			t.Fatalf("the paper number %d is %s", i+1, number)
		}
	}
}

func TestWhatWasIssuedStaysAsItWas(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user := t.Context(), newUser(t, db)
		b, invoices := newBooking(t, db, user, noon, 1), schema.Invoices{DB: db}
		made, err := invoices.Issue(ctx, paperOf(b, "a", fleet.Pounds(100), fleet.InvoiceID{}))
		if err != nil || !made {
			t.Fatalf("%v, %v", made, err)
		}
		for _, sql := range []string{`UPDATE invoices SET total = 1`, `DELETE FROM invoices`, `TRUNCATE invoices CASCADE`} {
			if _, err := db.Pool().Exec(ctx, sql); err == nil {
				t.Errorf("%s was done", sql)
			}
		}
		papers, err := invoices.OfBooking(ctx, b.ID)
		must(t, err)
		if len(papers) != 1 || papers[0].Total != fleet.Pounds(100) || papers[0].Number != "ARM-2026-000001" {
			t.Fatalf("%+v", papers)
		}
		// Credit notes take back what there is, and no more.
		id := papers[0].ID
		_, err = invoices.Issue(ctx, paperOf(b, "b", fleet.Pounds(60), id))
		must(t, err)
		_, err = invoices.Issue(ctx, paperOf(b, "c", fleet.Pounds(60), id))
		wantCode(t, err, fleet.CodeConflict)
		if papers, err = invoices.OfBooking(ctx, b.ID); err != nil || len(papers) != 2 || papers[1].Number != "CRN-2026-000001" {
			t.Errorf("%+v, %v", papers, err)
		}
		// Another's is not found, by whatever way.
		other := schema.InvoiceReader{User: newUser(t, db)}
		_, err = invoices.Get(ctx, other, id)
		wantCode(t, err, fleet.CodeNotFound)
		if rows, err := invoices.List(ctx, other, user, fleet.InvoiceID{}, 10); err != nil || len(rows) != 0 {
			t.Errorf("%v, %v", rows, err)
		}
		if rows, err := invoices.ForBooking(ctx, other, b.ID); err != nil || len(rows) != 0 {
			t.Errorf("%v, %v", rows, err)
		}
	})
}

// An invoice keeps its booking for as long as the law wants to see it, and leaves
// with it; so does what is of no booking, of a member alone.
func TestInvoicesAreKeptForSixYears(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, user := t.Context(), newUser(t, db)
		b, invoices := newBooking(t, db, user, noon, 1), schema.Invoices{DB: db}
		_, err := schema.Bookings{DB: db}.Change(ctx, b.ID, noon.AddDate(-1, 0, 0), func(c *schema.BookingTx) error {
			return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
		})
		must(t, err)
		_, err = invoices.Issue(ctx, paperOf(b, "a", fleet.Pounds(100), fleet.InvoiceID{}))
		must(t, err)
		papers, err := invoices.OfBooking(ctx, b.ID)
		must(t, err)
		_, err = invoices.Issue(ctx, paperOf(b, "b", fleet.Pounds(100), papers[0].ID))
		must(t, err)
		dues := paperOf(fleet.Booking{User: user}, "anything", fleet.Pounds(50), fleet.InvoiceID{})
		if _, err := invoices.Issue(ctx, dues); err == nil {
			t.Error("an invoice of nothing was issued")
		}
		dues.Cause = "membership/ch_1"
		_, err = invoices.Issue(ctx, dues)
		must(t, err)
		list := func() int {
			all, err := invoices.List(ctx, schema.InvoiceReader{User: user}, user, fleet.InvoiceID{}, 9)
			must(t, err)
			return len(all)
		}
		must(t, schema.Maintenance{DB: db}.Retain(ctx, noon.AddDate(5, 6, 0))) // six and a half from the end of the booking
		if papers, err := invoices.OfBooking(ctx, b.ID); err != nil || len(papers) != 2 || list() != 3 {
			t.Errorf("after five years and a half: %d papers, %v", len(papers), err)
		}
		must(t, schema.Maintenance{DB: db}.Retain(ctx, noon.AddDate(6, 1, 0)))
		if papers, err := invoices.OfBooking(ctx, b.ID); err != nil || len(papers) != 0 || list() != 0 {
			t.Errorf("after six years: %d papers, %v", len(papers), err)
		}
		_, err = schema.Bookings{DB: db}.Get(ctx, b.ID)
		wantCode(t, err, fleet.CodeNotFound)
	})
}
