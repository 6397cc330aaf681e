package payment_test

import (
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/tariff"
)

// team is a booking with its officers.
type team struct {
	*office
	earnings *payment.Earnings
	b        fleet.Booking
	officers []fleet.DriverID
}

// newTeam places a booking of officers, who have accepted it.
func newTeam(t *testing.T, officers int) *team {
	t.Helper()
	o := newOffice(t)
	m := &team{office: o, earnings: payment.NewEarnings(o.db, true, o.clock, slog.New(slog.DiscardHandler))}
	m.b = o.book(o.principal(), officers)
	for i := range officers {
		m.officers = append(m.officers, m.officer())
		m.accept(i, m.officers[i])
	}
	m.change(func(c *schema.BookingTx) error { return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"}) })
	return m
}

func (m *team) change(do func(*schema.BookingTx) error) {
	m.Helper()
	b, err := m.bookings.Change(m.Context(), m.b.ID, m.clock.Now(), do)
	m.must(err)
	m.b = b
}

func (o *office) officer() fleet.DriverID {
	o.Helper()
	id := fleet.NewID[fleet.Driver]()
	o.must(schema.Drivers{DB: o.db}.Create(o.Context(), fleet.Driver{ID: id, Name: "Ben Hale", Tier: fleet.Essential, User: o.person(fleet.RoleDriver)}))
	return id
}

// accept gives a seat to an officer: first held, then theirs.
func (m *team) accept(i int, driver fleet.DriverID) {
	m.Helper()
	for _, state := range []fleet.SeatState{fleet.SeatHeld, fleet.SeatCommitted} {
		m.change(func(c *schema.BookingTx) error {
			s := c.Seats[i]
			s.State, s.Driver, s.From, s.To, s.Held = state, driver, c.Start, c.End(), c.Now.Add(time.Minute)
			return c.Take(s)
		})
	}
}

// protect takes the booking to where protection begins.
func (m *team) protect() {
	m.Helper()
	for _, s := range []fleet.BookingStatus{fleet.EnRoute, fleet.Arrived, fleet.InProgress} {
		m.change(func(c *schema.BookingTx) error { return c.Move(s, schema.Event{Kind: string(s)}) })
	}
}

func (m *team) complete() {
	m.Helper()
	table := tariff.Default()
	price, err := table.Final(tariff.Trip{Tier: m.b.Tier, Start: m.b.Start, Zone: m.b.Zone, Time: m.b.Booked(), Metres: m.b.Metres, Officers: m.b.Officers}, m.b.Started, m.clock.Now())
	m.must(err)
	m.change(func(c *schema.BookingTx) error {
		c.Fee = price.Total
		return c.Move(fleet.Completed, schema.Event{Kind: "completed", Data: map[string]any{"price": price}})
	})
}

// owed settles the booking twice and returns what each officer is owed, in pence.
func (m *team) owed() map[fleet.DriverID]int64 {
	m.Helper()
	m.must(m.earnings.Settle(m.Context(), m.b.ID))
	m.must(m.earnings.Settle(m.Context(), m.b.ID))
	owed := map[fleet.DriverID]int64{}
	m.must(schema.Earnings{DB: m.db}.Payroll(m.Context(), issueDay.AddDate(-1, 0, 0), issueDay.AddDate(1, 0, 0), func(l schema.PayrollLine) error {
		owed[l.Driver] += l.Amount.Amount
		return nil
	}))
	return owed
}

// ledger checks that what officers are owed is what the ledger says.
func (m *team) ledger(want int64) {
	m.Helper()
	owed, err := schema.Ledger{DB: m.db}.Balance(m.Context(), fleet.AccountOfficers, fleet.GBP)
	m.must(err)
	cost, err := schema.Ledger{DB: m.db}.Balance(m.Context(), fleet.AccountPay, fleet.GBP)
	m.must(err)
	if owed.Amount != -want || cost.Amount != want {
		m.Errorf("the ledger owes officers %s at a cost of %s, want %d", owed, cost, want)
	}
}

func TestOfficersAreOwedForWhatIsBilled(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 2)
	if owed := m.owed(); len(owed) != 0 {
		t.Errorf("owed before the end: %v", owed)
	}
	m.clock.Advance(time.Hour)
	m.protect()
	m.clock.Advance(2*time.Hour + 40*time.Minute) // three hours
	m.complete()
	// £150 and four miles at £2.50, of which an officer gets 60 %.
	want := map[fleet.DriverID]int64{m.officers[0]: 96_00, m.officers[1]: 96_00}
	if owed := m.owed(); len(owed) != 2 || owed[m.officers[0]] != want[m.officers[0]] || owed[m.officers[1]] != want[m.officers[1]] {
		t.Errorf("%v, want %v", owed, want)
	}
	m.ledger(192_00)
}

// Rates that change between acceptance and the end are for those who accept later.
func TestAnOfficerIsPaidByTheRatesOfWhenTheyAccepted(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 1)
	set := func(read int64, work int) error {
		_, err := m.earnings.SetRates(t.Context(), fleet.UserID{}, read, tariff.PayRates{Version: 99, Pay: tariff.Pay{Work: work, Fee: 50}})
		return err
	}
	m.must(set(1, 70))
	if err := set(1, 75); fleet.CodeOf(err) != fleet.CodeVersionMismatch {
		t.Errorf("of a version that is not the newest: %v", err)
	}
	if err := set(0, 81); fleet.CodeOf(err) != fleet.CodeInvalid { // members pay 80 %
		t.Errorf("more than members pay: %v", err)
	}
	if r, err := m.earnings.Rates(t.Context()); err != nil || r != (tariff.PayRates{Version: 2, Pay: tariff.Pay{Work: 70, Fee: 50}}) {
		t.Errorf("%+v, %v", r, err)
	}
	m.clock.Advance(time.Hour)
	m.protect()
	m.complete()
	if owed := m.owed(); owed[m.officers[0]] != 66_00 { // 60 % of £110
		t.Errorf("%v", owed)
	}
	// The next one is paid by the new ones, also where the seat was another's before.
	b := m.book(m.principal(), 1)
	m.b = b
	first, second := m.officer(), m.officer()
	m.change(func(c *schema.BookingTx) error {
		s := c.Seats[0]
		s.State, s.Driver, s.From, s.To, s.Held = fleet.SeatHeld, first, c.Start, c.End(), c.Now.Add(time.Minute)
		return c.Take(s)
	})
	m.must(set(0, 40))
	m.change(func(c *schema.BookingTx) error { return c.Vacate(c.Seats[0].ID, "gone") })
	m.accept(0, second)
	m.change(func(c *schema.BookingTx) error {
		pay, err := c.SeatPay()
		var r tariff.PayRates
		if err == nil {
			err = json.Unmarshal(pay[c.Seats[0].ID], &r)
		}
		if r.Version != 3 || r.Work != 40 {
			t.Errorf("paid by %+v", r)
		}
		return err
	})
}

func TestWhoIsRelievedIsPaidForTheirTime(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 1)
	m.clock.Advance(time.Hour)
	m.protect()
	m.clock.Advance(30 * time.Minute)
	relief := m.officer()
	m.takesOver(relief)
	m.clock.Advance(90 * time.Minute)
	m.complete()
	if owed := m.owed(); owed[m.officers[0]] != 16_50 || owed[relief] != 49_50 { // a quarter, and the rest, of £66
		t.Errorf("%v", owed)
	}
	m.ledger(66_00)
}

// takesOver has an officer relieve the one who is there.
func (m *team) takesOver(relief fleet.DriverID) {
	m.Helper()
	m.change(func(c *schema.BookingTx) error {
		old := *c.Lead()
		next, err := c.OpenSeat(1, old.ID)
		if err != nil {
			return err
		}
		next.State, next.Driver, next.From, next.To = fleet.SeatCommitted, relief, c.Now, c.End()
		if err := c.Take(next); err != nil {
			return err
		}
		if err := c.Release(old.ID, "relieved"); err != nil {
			return err
		}
		if err := c.Replace(next.ID); err != nil {
			return err
		}
		return c.Note(schema.Event{Kind: "handed_over", Data: map[string]any{"seat": 1, "driver": relief, "relieved": old.Driver}})
	})
}

// An officer who comes back, since ops send them, and is relieved again, is paid for both
// times, however often it is written down.
func TestWhoIsRelievedTwiceIsPaidForBothTimes(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 1)
	m.clock.Advance(time.Hour)
	m.protect()
	one, two, three := m.officers[0], m.officer(), m.officer()
	for _, next := range []fleet.DriverID{two, one, three} {
		m.clock.Advance(30 * time.Minute)
		m.takesOver(next)
	}
	m.clock.Advance(30 * time.Minute)
	m.complete()
	for range 3 {
		if owed := m.owed(); owed[one] != 33_00 || owed[two] != 16_50 || owed[three] != 16_50 {
			t.Errorf("%v", owed)
		}
	}
	m.ledger(66_00)
}

func TestAFeeIsSharedOnceItIsTaken(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 2)
	m.change(func(c *schema.BookingTx) error {
		c.Fee = fleet.Pence(60_01)
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
	})
	// An account with terms pays it for sure: 60 % of it, halved and rounded down.
	if owed := m.owed(); len(owed) != 2 || owed[m.officers[0]] != 18_00 || owed[m.officers[1]] != 18_00 {
		t.Errorf("%v", owed)
	}
	// Ops let the principal off: the officers are owed nothing any more.
	m.change(func(c *schema.BookingTx) error {
		c.Fee = fleet.Pence(0)
		return c.Note(schema.Event{Kind: fleet.EventFeeWaived})
	})
	if owed := m.owed(); owed[m.officers[0]] != 0 || owed[m.officers[1]] != 0 {
		t.Errorf("after the waiver: %v", owed)
	}
	m.ledger(0)
}

// Of a card, what was taken counts, and not what is due.
func TestAFeeThatIsNotTakenIsNotShared(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 1)
	_, err := m.db.Pool().Exec(t.Context(), `INSERT INTO booking_money (booking_id, user_id) VALUES ($1, $2)`, m.b.ID, m.b.User)
	m.must(err)
	m.change(func(c *schema.BookingTx) error {
		c.Fee = fleet.Pounds(60)
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
	})
	if owed := m.owed(); len(owed) != 0 {
		t.Errorf("owed of what was not taken: %v", owed)
	}
	m.change(func(c *schema.BookingTx) error {
		m.captured(c, 100_00) // more than is due: the rest goes back
		return nil
	})
	if owed := m.owed(); owed[m.officers[0]] != 36_00 {
		t.Errorf("%v", owed)
	}
}

// Twice at once is once.
func TestTwoAtOnceOweOnce(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 3)
	m.clock.Advance(time.Hour)
	m.protect()
	m.complete()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := m.earnings.Settle(t.Context(), m.b.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	owed := m.owed()
	for _, o := range m.officers {
		if owed[o] != 66_00 {
			t.Errorf("%v", owed)
		}
	}
	m.ledger(198_00)
}

// An officer reads their own earnings, and nobody else's.
func TestEarningsAreTheirOfficers(t *testing.T) {
	t.Parallel()
	m := newTeam(t, 1)
	m.clock.Advance(time.Hour)
	m.protect()
	m.complete()
	m.owed()
	driver, err := schema.Drivers{DB: m.db}.Get(t.Context(), m.officers[0])
	m.must(err)
	q := schema.EarningQuery{From: issueDay, To: issueDay.AddDate(0, 0, 1), Limit: 10}
	own, err := schema.Earnings{DB: m.db}.Own(t.Context(), driver.User, q)
	m.must(err)
	if len(own) != 1 || own[0].Amount != fleet.Pounds(66) || own[0].Minutes != 120 {
		t.Errorf("%+v", own)
	}
	for _, other := range []fleet.UserID{m.principal(), {}} {
		if rows, err := (schema.Earnings{DB: m.db}).Own(t.Context(), other, q); err != nil || len(rows) != 0 {
			t.Errorf("another's: %v, %v", rows, err)
		}
	}
	if rows, err := (schema.Earnings{DB: m.db}).Own(t.Context(), driver.User, schema.EarningQuery{From: issueDay.AddDate(0, 0, 1), To: issueDay.AddDate(0, 0, 2), Limit: 10}); err != nil || len(rows) != 0 {
		t.Errorf("of another period: %v, %v", rows, err)
	}
	if _, err := m.db.Pool().Exec(t.Context(), `UPDATE earnings SET amount = 1`); err == nil {
		t.Error("what was written down was changed")
	}
	if m.jobs("earn_booking") != 1 {
		t.Error("the end left no job")
	}
}
