package stripe

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

const (
	secretKey      = "sk_test_fake"
	publishableKey = "pk_test_fake"
)

// stepped is a clock that stands still until it is stepped.
type stepped struct {
	mu  sync.Mutex
	now time.Time
}

func (c *stepped) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepped) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is the server, Stripe's own client of it, and a browser.
type bench struct {
	*testing.T
	s     *Server
	api   *client.API
	page  Browser
	clock *stepped
	url   string
}

func newBench(t *testing.T) bench {
	t.Helper()
	clock := &stepped{now: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)}
	s := New(secretKey, publishableKey, clock)
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	return bench{T: t, s: s, clock: clock, url: listening.URL, api: clientOf(listening.URL), page: Browser{URL: listening.URL, Key: publishableKey}}
}

func clientOf(url string) *client.API {
	config := &api.BackendConfig{
		URL: api.String(url), MaxNetworkRetries: api.Int64(0), LeveledLogger: &api.LeveledLogger{Level: api.LevelNull},
	}
	return client.New(secretKey, api.NewBackendsWithConfig(config))
}

func must[T any](b bench) func(T, error) T {
	return func(got T, err error) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return got
	}
}

func (b bench) customer() string {
	b.Helper()
	return must[*api.Customer](b)(b.api.Customers.New(&api.CustomerParams{Email: api.String("ada@example.org")})).ID
}

func (b bench) card(number string) string {
	b.Helper()
	return must[string](b)(b.page.Card(context.Background(), number))
}

// hold asks for a payment intent with manual capture.
func (b bench) hold(customer string, amount int64, change ...func(*api.PaymentIntentParams)) (*api.PaymentIntent, error) {
	params := &api.PaymentIntentParams{
		Amount: api.Int64(amount), Currency: api.String("gbp"), Customer: api.String(customer), CaptureMethod: api.String("manual"),
		PaymentMethodTypes: api.StringSlice([]string{"card"}),
	}
	params.AddExpand("latest_charge")
	for _, c := range change {
		c(params)
	}
	return b.api.PaymentIntents.New(params)
}

// kept is a card that the customer keeps, set up for off-session payments.
func (b bench) kept(customer, number string) (string, error) {
	b.Helper()
	setup := must[*api.SetupIntent](b)(b.api.SetupIntents.New(&api.SetupIntentParams{Customer: api.String(customer), Usage: api.String("off_session")}))
	card := b.card(number)
	next, err := b.page.Confirm(context.Background(), setup.ClientSecret, card)
	if err == nil && next.URL != "" {
		err = b.page.Authenticate(context.Background(), next.URL, true)
	}
	return card, err
}

func off(card string) func(*api.PaymentIntentParams) {
	return func(p *api.PaymentIntentParams) {
		p.PaymentMethod, p.Confirm, p.OffSession = api.String(card), api.Bool(true), api.Bool(true)
	}
}

func refusal(t *testing.T, err error) *api.Error {
	t.Helper()
	var refused *api.Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v, want a refusal of Stripe's", err)
	}
	return refused
}

func TestAHoldIsConfirmedByTheClientAndCapturedInPart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := must[*api.PaymentIntent](b)(b.hold(b.customer(), 20_000))
	if p.Status != api.PaymentIntentStatusRequiresPaymentMethod || p.ClientSecret == "" {
		t.Fatalf("%s", p.Status)
	}
	next := must[Next](b)(b.page.Confirm(t.Context(), p.ClientSecret, b.card(Visa)))
	if next.Status != "requires_capture" || next.URL != "" {
		t.Fatalf("%+v", next)
	}
	get := &api.PaymentIntentParams{}
	get.AddExpand("latest_charge")
	p = must[*api.PaymentIntent](b)(b.api.PaymentIntents.Get(p.ID, get))
	if want := b.clock.Now().Add(HoldFor).Unix(); p.LatestCharge.PaymentMethodDetails.Card.CaptureBefore != want || p.AmountCapturable != 20_000 {
		t.Fatalf("capture before %d, want %d", p.LatestCharge.PaymentMethodDetails.Card.CaptureBefore, want)
	}
	capture := &api.PaymentIntentCaptureParams{AmountToCapture: api.Int64(12_000)}
	capture.AddExpand("latest_charge.balance_transaction")
	p = must[*api.PaymentIntent](b)(b.api.PaymentIntents.Capture(p.ID, capture))
	if p.Status != api.PaymentIntentStatusSucceeded || p.AmountReceived != 12_000 || p.LatestCharge.AmountRefunded != 8_000 {
		t.Fatalf("%+v", p)
	}
	if txn := p.LatestCharge.BalanceTransaction; txn.Amount != 12_000 || txn.Fee != 200 || txn.Net != 11_800 {
		t.Fatalf("%+v", txn)
	}
	_, err := b.api.PaymentIntents.Capture(p.ID, nil)
	if refused := refusal(t, err); refused.Code != api.ErrorCodePaymentIntentUnexpectedState || refused.PaymentIntent.ID != p.ID {
		t.Fatalf("%+v", refused)
	}
}
