package payment_test

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/stripe"
	"armora/tariff"
)

// noon is when the clock of these tests stands at first: a Monday.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// till is a cashier, a Stripe and a principal.
type till struct {
	*payment.Cashier
	t        *testing.T
	dsn      string
	db       *schema.DB
	clock    *fleet.ManualClock
	stripe   *stripe.Server
	browser  stripe.Browser
	url      string
	log      *slog.Logger
	bookings schema.Bookings
	payments schema.Payments
	earnings *payment.Earnings
	user     fleet.UserID
	card     string        // the last that was kept
	down     time.Duration // for how long nobody starts a hub that has died
	reaper   *reaper       // who kills it; nil: nobody
	told     []string      // kinds of what the principal was told
	tidings  []fleet.Tidings
}

func newTill(t *testing.T) *till {
	t.Helper()
	w := &till{t: t, dsn: schematest.PlainDSN(t), clock: fleet.NewManualClock(noon), log: slog.New(slog.DiscardHandler)}
	var err error
	w.db, err = schema.Open(t.Context(), w.dsn, schema.Options{MaxConns: 8})
	w.must(err)
	t.Cleanup(w.db.Close)
	w.stripe = stripe.New("sk_test_till", "pk_test_till", w.clock)
	server := httptest.NewServer(w.stripe)
	t.Cleanup(server.Close)
	w.url, w.browser = server.URL, stripe.Browser{URL: server.URL, Key: "pk_test_till"}
	w.bookings, w.payments = schema.Bookings{DB: w.db}, schema.Payments{DB: w.db}
	w.earnings = payment.NewEarnings(w.db, true, w.clock, w.log)
	w.user = w.person(fleet.RoleRider)
	w.restart()
	return w
}

// newHeld is a till with a booking whose amount is held.
func newHeld(t *testing.T) (*till, fleet.BookingID) {
	t.Helper()
	w := newTill(t)
	w.keeps(stripe.Visa)
	b := w.booked(0)
	w.settle(b)
	return w, b
}

// restart is a hub that has died and come back: it remembers nothing.
func (w *till) restart() {
	w.t.Helper()
	var err error
	w.Cashier, err = payment.New(payment.Config{
		DB: w.db, Key: "sk_test_till", PublishableKey: "pk_test_till", URL: w.url, ReturnURL: "https://armora.test/paid", Link: "https://armora.test/pay#", Connect: true,
		Clock: w.clock, Log: w.log,
		Tell: func(about fleet.Tidings) schema.Telling {
			return func(fleet.User) ([]fleet.Notice, error) {
				w.told, w.tidings = append(w.told, about.Kind), append(w.tidings, about)
				return nil, nil
			}
		},
	})
	w.must(err)
}

func (w *till) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *till) want(err error, code fleet.Code) {
	w.t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		w.t.Fatalf("error %v, want code %s", err, code)
	}
}

func (w *till) person(roles ...fleet.Role) fleet.UserID {
	w.t.Helper()
	id := fleet.NewID[fleet.User]()
	w.must(schema.Users{DB: w.db}.Create(w.t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: noon, Name: "Ada", Roles: roles, Created: noon,
	}, ""))
	return id
}

// booked is a booking of £120 for two hours: for at once, or in a while.
func (w *till) booked(in time.Duration) fleet.BookingID {
	w.t.Helper()
	return w.priced(in, fleet.Pounds(120))
}

// priced is booked at another price, of any currency.
func (w *till) priced(in time.Duration, total fleet.Money) fleet.BookingID {
	w.t.Helper()
	by := tariff.Default()
	by.Currency = total.Currency
	table, err := json.Marshal(by)
	w.must(err)
	start := w.clock.Now().Add(in)
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: w.user, Created: w.clock.Now(),
		Order: fleet.Order{Start: start, Zone: "Europe/London", Minutes: 120, Type: fleet.SecureTransfer, Tier: fleet.Essential, Level: fleet.LevelStandard,
			Pickup: fleet.Place{Lat: 51.511, Lon: -0.1197}, Destination: &fleet.Place{Lat: 51.4967, Lon: -0.1764}, Officers: 1},
		Terms: fleet.Terms{Tariff: table, Price: json.RawMessage(`{}`), Total: total, Metres: 6437}}
	if in > 0 {
		b.LocalStart = start.Format("2006-01-02T15:04")
	}
	w.must(w.bookings.Place(w.t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: w.user}))
	return b.ID
}

// keeps has the principal keep a card, and returns its id at Stripe.
func (w *till) keeps(number string) string {
	w.t.Helper()
	w.card = number
	pm, err := w.browser.Card(w.t.Context(), number)
	w.must(err)
	_, secret, err := w.SetUp(w.t.Context(), w.user)
	w.must(err)
	next, err := w.browser.Confirm(w.t.Context(), secret, pm)
	w.must(err)
	if next.URL != "" {
		w.must(w.browser.Authenticate(w.t.Context(), next.URL, true))
	}
	methods, err := w.Methods(w.t.Context(), w.user)
	w.must(err)
	if len(methods) == 0 || methods[0].Last4 != number[len(number)-4:] {
		w.t.Fatalf("cards are %+v", methods)
	}
	return methods[0].Stripe
}

// drops has the principal take their cards away.
func (w *till) drops() {
	w.t.Helper()
	cards, err := w.Methods(w.t.Context(), w.user)
	w.must(err)
	for _, c := range cards {
		w.must(w.RemoveMethod(w.t.Context(), w.user, c.ID))
	}
}

// waives has ops let the principal off what a booking costs.
func (w *till) waives(id fleet.BookingID) {
	w.t.Helper()
	w.change(id, func(c *schema.BookingTx) error {
		c.Fee.Amount = 0
		return c.Note(schema.Event{Kind: "fee_waived"})
	})
	w.settle(id)
}

// refund has finance give back an amount of a booking's first payment.
func (w *till) refund(id fleet.BookingID, amount int64) fleet.Refund {
	w.t.Helper()
	r, err := w.Refund(w.t.Context(), payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}, w.paid(id)[0].ID, amount, "it was late")
	w.must(err)
	return r
}

func (w *till) booking(id fleet.BookingID) fleet.Booking {
	w.t.Helper()
	b, err := w.bookings.Get(w.t.Context(), id)
	w.must(err)
	return b
}

// paid returns the payments of a booking.
func (w *till) paid(id fleet.BookingID) []fleet.Payment {
	w.t.Helper()
	payments, err := w.payments.OfBooking(w.t.Context(), id)
	w.must(err)
	return payments
}

// wantPaid checks purpose, state, amount and what was captured of each payment.
func (w *till) wantPaid(id fleet.BookingID, want ...string) {
	w.t.Helper()
	payments := w.paid(id)
	got := make([]string, len(payments))
	for i, p := range payments {
		got[i] = string(p.Purpose) + " " + string(p.State) + " " + p.Amount.String()
		if p.Captured != 0 && p.Captured != p.Amount.Amount {
			got[i] += " took " + fleet.Money{Amount: p.Captured, Currency: p.Amount.Currency}.String()
		}
		if p.Code != "" && p.State != fleet.PaymentCaptured {
			w.t.Logf("%s %s: %s %s", p.Purpose, p.State, p.Code, p.Decline)
		}
		if p.Refunded != 0 {
			got[i] += " gave back " + fleet.Pence(p.Refunded).String()
		}
	}
	if len(got) != len(want) {
		w.t.Fatalf("payments are %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			w.t.Fatalf("payments are %q, want %q", got, want)
		}
	}
}

func (w *till) settle(id fleet.BookingID) {
	w.t.Helper()
	w.must(w.Settle(w.t.Context(), id))
}

// change changes a booking as dispatch does.
func (w *till) change(id fleet.BookingID, do func(*schema.BookingTx) error) {
	w.t.Helper()
	_, err := w.bookings.Change(w.t.Context(), id, w.clock.Now(), do)
	w.must(err)
}

// runs takes a booking to a status by its way.
func (w *till) runs(id fleet.BookingID, to fleet.BookingStatus) {
	w.t.Helper()
	w.change(id, func(c *schema.BookingTx) error {
		for _, s := range []fleet.BookingStatus{fleet.Searching, fleet.Offered, fleet.Assigned, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed} {
			if c.Status == to {
				return nil
			}
			if s == fleet.Completed {
				c.Fee = c.Total
			}
			if err := c.Move(s, schema.Event{Kind: string(s)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// ends ends a booking with a fee.
func (w *till) ends(id fleet.BookingID, to fleet.BookingStatus, fee fleet.Money) {
	w.t.Helper()
	w.change(id, func(c *schema.BookingTx) error {
		c.Fee = fee
		return c.Move(to, schema.Event{Kind: string(to)})
	})
}

// agrees checks that our ledger says of Stripe what Stripe does, and that it owes
// nobody anything that it should not.
func (w *till) agrees() map[fleet.Account]int64 {
	w.t.Helper()
	sums, err := schema.Ledger{DB: w.db}.Balances(w.t.Context(), fleet.GBP)
	w.must(err)
	var theirs int64
	for _, b := range stripe.All[stripe.BalanceTransaction](w.stripe) {
		theirs += b.Net
	}
	if sums[fleet.AccountStripe] != theirs {
		w.t.Errorf("by our ledger Stripe has %d, by Stripe %d", sums[fleet.AccountStripe], theirs)
	}
	return sums
}

func (w *till) debts(id fleet.BookingID) []fleet.Debt {
	w.t.Helper()
	debts, err := schema.Debts{DB: w.db}.OfBooking(w.t.Context(), id)
	w.must(err)
	return debts
}
