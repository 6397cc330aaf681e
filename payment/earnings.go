package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// Earnings write down what officers are owed: for the work of a booking that is
// completed, and their share of a fee once it was taken. What has been written down
// is compared with what should be, and the difference is written down too, so that
// it may be run as often as one likes. It is safe for concurrent use.
type Earnings struct {
	river.WorkerDefaults[fleet.EarnBooking]
	transfers bool // officers may be paid by Stripe
	bookings  schema.Bookings
	rates     schema.PayRates
	tariffs   schema.Tariffs
	clock     fleet.Clock
	log       *slog.Logger
}

// NewEarnings returns the earnings of a hub: with transfers, officers who have
// themselves paid by Stripe are, of what is earned from now on.
func NewEarnings(db *schema.DB, transfers bool, clock fleet.Clock, log *slog.Logger) *Earnings {
	return &Earnings{
		transfers: transfers, bookings: schema.Bookings{DB: db}, rates: schema.PayRates{DB: db}, tariffs: schema.Tariffs{DB: db}, clock: clock, log: log,
	}
}

// AddWorkers adds the worker that writes earnings down.
func (e *Earnings) AddWorkers(workers *river.Workers) { river.AddWorker(workers, e) }

// Work implements river.Worker.
func (e *Earnings) Work(ctx context.Context, job *river.Job[fleet.EarnBooking]) error {
	err := e.Settle(ctx, job.Args.Booking)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // retention took it
	}
	return err
}

// Rates returns by what whoever accepts now is paid.
func (e *Earnings) Rates(ctx context.Context) (r tariff.PayRates, err error) {
	body, err := e.rates.Current(ctx)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// SetRates sets by what whoever accepts from now on is paid, as the edition that
// follows the one that was read, and returns it; 0 for whichever there is.
func (e *Earnings) SetRates(ctx context.Context, by fleet.UserID, read int64, r tariff.PayRates) (tariff.PayRates, error) {
	table := tariff.Default()
	if body, err := e.tariffs.Current(ctx, e.clock.Now()); err != nil {
		return r, err
	} else if body != nil {
		if err := json.Unmarshal(body, &table); err != nil {
			return r, err
		}
	}
	if err := r.Check(&table); err != nil {
		return r, err
	}
	now, err := e.Rates(ctx)
	if err != nil {
		return r, err
	}
	if read != 0 && read != int64(now.Version) {
		return r, &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the pay rates have changed since they were read: read them again"}
	}
	r.Version = now.Version + 1
	body, err := json.Marshal(r.Pay)
	if err != nil {
		return r, err
	}
	return r, e.rates.Add(ctx, r.Version, body, by, e.clock.Now())
}

// Settle writes down what the officers of a booking are owed and is not written
// down yet.
func (e *Earnings) Settle(ctx context.Context, id fleet.BookingID) error {
	end, err := e.bookings.Ended(ctx, id)
	if err != nil {
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			return nil // it goes on
		}
		return err
	}
	changes, err := e.bookings.HandedOver(ctx, id)
	if err != nil {
		return err
	}
	_, err = e.bookings.Change(ctx, id, e.clock.Now(), func(c *schema.BookingTx) error {
		table := new(tariff.Table)
		if err := json.Unmarshal(c.Tariff, table); err != nil {
			return fmt.Errorf("the tariff of booking %s: %w", c.ID, err)
		}
		pay, err := seatRates(c, table)
		if err != nil {
			return err
		}
		var owed []fleet.Earning
		if c.Status != fleet.Completed {
			if owed, err = feeOwed(c, table, pay); err != nil {
				return err
			}
			return writeDown(c, owed, pay)
		}
		if owed, err = workOwed(&c.Booking, table, pay, &end, changes); err != nil {
			return err
		}
		if owed, err = e.byTransfer(c, owed); err != nil {
			return err
		}
		return writeDown(c, owed, pay)
	})
	return err
}

// seatRates are the editions by which the officers of a booking are paid; who
// accepted before there were editions, by the booking's tariff.
func seatRates(c *schema.BookingTx, table *tariff.Table) (map[fleet.SeatID]tariff.PayRates, error) {
	bodies, err := c.SeatPay()
	if err != nil {
		return nil, err
	}
	rates := make(map[fleet.SeatID]tariff.PayRates)
	for _, s := range c.Seats {
		r := tariff.PayRates{Version: 1, Pay: table.Pay}
		if body, ok := bodies[s.ID]; ok {
			if err := json.Unmarshal(body, &r); err != nil {
				return nil, fmt.Errorf("pay of seat %s: %w", s.ID, err)
			}
		}
		rates[s.ID] = r
	}
	return rates, nil
}

// workOwed is what the officers of a completed booking are owed: each place of the
// team what one officer is paid for what was billed. Where one was relieved, it is
// shared by the time that each was there.
func workOwed(b *fleet.Booking, table *tariff.Table, rates map[fleet.SeatID]tariff.PayRates, end *fleet.BookingEvent, changes []schema.HandOver) ([]fleet.Earning, error) {
	var said struct {
		Price *tariff.Price `json:"price"`
	}
	if len(end.Data) > 0 {
		if err := json.Unmarshal(end.Data, &said); err != nil {
			return nil, fmt.Errorf("the end of booking %s: %w", b.ID, err)
		}
	}
	if said.Price == nil { // it could not be worked out: as quoted
		said.Price = new(tariff.Price)
		if err := json.Unmarshal(b.Price, said.Price); err != nil {
			return nil, fmt.Errorf("the price of booking %s: %w", b.ID, err)
		}
	}
	var owed []fleet.Earning
	for number := 1; number <= b.Officers; number++ {
		spells := spellsOf(b, number, changes)
		for i, s := range spells {
			full := table.By(rates[s.seat.ID]).PayFor(*said.Price)
			owed = append(owed, fleet.Earning{
				Driver: s.seat.Driver, Seat: s.seat.ID, Kind: fleet.EarnedWork, Payout: fleet.ByPayroll, Minutes: int(shareOf(int64(said.Price.Minutes), spells, i)),
				Amount: fleet.Money{Amount: shareOf(full.Amount, spells, i), Currency: full.Currency},
			})
		}
	}
	return owed, nil
}

// shareOf is the part of an amount that belongs to the i-th of the spells, by time:
// what rounding down leaves is the last one's, and all shares sum to the amount.
func shareOf(amount int64, spells []spell, i int) int64 {
	var whole time.Duration
	for _, s := range spells {
		whole += s.time
	}
	share := func(n int) int64 {
		return amount * int64(spells[n].time/time.Second) / max(1, int64(whole/time.Second))
	}
	if i < len(spells)-1 {
		return share(i)
	}
	left := amount
	for n := range i {
		left -= share(n)
	}
	return left
}

// spell is how long an officer was in a place of the team.
type spell struct {
	seat *fleet.Seat
	time time.Duration
}

// spellsOf are the officers who were in a place of the team, in their order.
func spellsOf(b *fleet.Booking, number int, changes []schema.HandOver) []spell {
	var spells []spell
	since := b.Started
	add := func(seat *fleet.Seat, until time.Time) {
		if seat != nil {
			spells = append(spells, spell{seat, max(0, until.Sub(since))})
		}
		if until.After(since) {
			since = until
		}
	}
	for _, change := range changes {
		if change.Number == number {
			add(relievedOf(b, number, change.Relieved, spells), change.At)
		}
	}
	for i := range b.Seats {
		if s := &b.Seats[i]; s.Number == number && !s.Driver.IsZero() && s.Reason == string(fleet.Completed) && s.Relieves.IsZero() {
			add(s, b.Ended)
		}
	}
	return spells
}

// relievedOf is the seat of an officer who was relieved: of one who was so twice, the first
// that is not among the spells.
func relievedOf(b *fleet.Booking, number int, driver fleet.DriverID, spells []spell) *fleet.Seat {
	for i := range b.Seats {
		s := &b.Seats[i]
		counted := slices.ContainsFunc(spells, func(sp spell) bool { return sp.seat == s })
		if s.Number == number && s.Driver == driver && s.Reason == "relieved" && !counted {
			return s
		}
	}
	return nil
}

// feeOwed is what the officers who had a booking get of its fee, as far as it was
// taken: all of it of an account that has terms.
func feeOwed(c *schema.BookingTx, table *tariff.Table, rates map[fleet.SeatID]tariff.PayRates) ([]fleet.Earning, error) {
	taken := c.Fee
	if _, byCard, err := c.Money(); err != nil {
		return nil, err
	} else if byCard {
		payments, err := c.Payments()
		if err != nil {
			return nil, err
		}
		taken.Amount = 0
		for i := range payments {
			taken.Amount += payments[i].Net()
		}
		taken.Amount = min(taken.Amount, c.Fee.Amount)
	}
	var had []*fleet.Seat
	for i := range c.Seats {
		if s := &c.Seats[i]; !s.Driver.IsZero() && s.State == fleet.SeatReleased && s.Reason == string(c.Status) {
			had = append(had, s)
		}
	}
	owed := make([]fleet.Earning, 0, len(had))
	for _, s := range had {
		owed = append(owed, fleet.Earning{
			Driver: s.Driver, Seat: s.ID, Kind: fleet.EarnedFee, Payout: fleet.ByPayroll, Amount: table.By(rates[s.ID]).PayOfFee(taken, len(had)),
		})
	}
	return owed, nil
}

// writeDown adds what is owed beyond what was written down.
func writeDown(c *schema.BookingTx, owed []fleet.Earning, rates map[fleet.SeatID]tariff.PayRates) error {
	earned, err := c.Earned()
	if err != nil {
		return err
	}
	for _, e := range owed {
		for _, was := range earned {
			if was.Seat == e.Seat && was.Payout == e.Payout {
				e.Amount.Amount, e.Minutes = e.Amount.Amount-was.Amount.Amount, max(0, e.Minutes-was.Minutes)
			}
		}
		if e.Amount.Amount == 0 {
			continue
		}
		if e.Rates, err = json.Marshal(rates[e.Seat]); err != nil {
			return err
		}
		if err := c.Earn(&e); err != nil {
			return err
		}
	}
	return nil
}
