package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"armora/fleet"
)

// callTimeout bounds one request to Stripe: it answers within seconds, or nobody
// knows.
const callTimeout = 20 * time.Second

// newClient returns Stripe's own client: with a time limit, without retries of its
// own (ours are saved, and say what they are), silent, since what it would log
// holds client secrets. url is "" for Stripe itself.
func newClient(key, url string) *client.API {
	config := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Timeout: callTimeout},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
	}
	if url != "" {
		config.URL = stripe.String(url)
	}
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, config)
	return client.New(key, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
}

// verdict is how definite an answer of Stripe's is.
type verdict int

const (
	done    verdict = iota // it was carried out
	refused                // it was not, and will not be
	broken                 // Stripe says that it broke: what has become of it, its object tells
	unknown                // nobody knows
)

// answer is what Stripe said to a request, without its secrets.
type answer struct {
	verdict verdict
	code    string // Stripe's: card_declined
	decline string // the bank's: insufficient_funds
	request string // the id of the request
	intent  *stripe.PaymentIntent
	refund  *stripe.Refund
	sent    string // Stripe's id of a transfer or a reversal
	err     error  // for logs
}

// reduce makes of an error of Stripe's client what may be logged: its own text
// holds the whole answer, and that client secrets.
func reduce(err error) answer {
	if err == nil {
		return answer{}
	}
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok { // no answer, or none that can be read
		return answer{verdict: unknown, err: errors.New("stripe: no answer: " + withoutURL(err))}
	}
	a := answer{verdict: refused, code: string(e.Code), decline: string(e.DeclineCode), request: e.RequestID, intent: e.PaymentIntent}
	if a.code == "" {
		a.code = string(e.Type)
	}
	switch status := e.HTTPStatusCode; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusConflict, status == http.StatusTooManyRequests:
		a.verdict = unknown
	case status >= 500, e.Type == stripe.ErrorTypeIdempotency: // the key was used, and not for this
		a.verdict = broken
	}
	a.err = fmt.Errorf("stripe: %d %s %s (request %s)", e.HTTPStatusCode, a.code, a.decline, a.request)
	return a
}

// withoutURL is what a network error says, without where: nothing of it is secret,
// but an answer that could not be read is quoted by some.
func withoutURL(err error) string {
	text := err.Error()
	if i := strings.IndexAny(text, "{<"); i >= 0 {
		text = text[:i] + "…"
	}
	return text
}

// away is the error of who has to try again, since Stripe could not be asked.
func (a *answer) away() error {
	return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the payment service could not be asked, try again", Err: a.err, Retry: 5 * time.Second}
}

// failure is the error of a request whose answer is not good.
func (a *answer) failure() error {
	switch {
	case a.err == nil:
		return nil
	case a.verdict == refused && a.code == string(stripe.ErrorCodeResourceMissing):
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "the payment service does not know that", Err: a.err}
	case a.verdict == refused:
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "the payment service refuses that: " + a.code, Err: a.err}
	}
	return a.away()
}

// ask makes a call: everything that Stripe is told to do about a payment. What it
// asks for is saved in k, so that it is the same each time under the same key.
func (c *Cashier) ask(ctx context.Context, t *todo, customer string) (a answer) {
	p, k := &t.payment, &t.call
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var intent *stripe.PaymentIntent
	var err error
	switch k.Step {
	case fleet.CallCreate:
		intent, err = c.stripe.PaymentIntents.New(createParams(ctx, p, k, customer))
	case fleet.CallConfirm:
		intent, err = c.stripe.PaymentIntents.Confirm(p.Stripe, c.confirmParams(ctx, k))
	case fleet.CallCapture:
		params := &stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(k.Amount)}
		params.Context, params.IdempotencyKey = ctx, stripe.String(k.Key)
		params.AddExpand(expanded)
		intent, err = c.stripe.PaymentIntents.Capture(p.Stripe, params)
	case fleet.CallCancel:
		params := &stripe.PaymentIntentCancelParams{}
		params.Context, params.IdempotencyKey = ctx, stripe.String(k.Key)
		intent, err = c.stripe.PaymentIntents.Cancel(p.Stripe, params)
	case fleet.CallRefund:
		params := &stripe.RefundParams{PaymentIntent: stripe.String(p.Stripe), Amount: stripe.Int64(k.Amount)}
		params.Context, params.IdempotencyKey = ctx, stripe.String(k.Key)
		params.AddMetadata("refund", k.Refund.String())
		params.AddMetadata("payment", k.Payment.String())
		a.refund, err = c.stripe.Refunds.New(params)
	case fleet.CallTransfer, fleet.CallReverse:
		a.sent, err = c.askTransfer(ctx, t)
	}
	if err != nil {
		return reduce(err)
	}
	a.intent = intent
	if intent != nil && intent.LastResponse != nil {
		a.request = intent.LastResponse.RequestID
	}
	return a
}

// expanded is what is read with an intent: when its hold runs out, and what Stripe
// has charged for it.
const expanded = "latest_charge.balance_transaction"

// lower is a currency in Stripe's spelling.
func lower(c fleet.Currency) string { return strings.ToLower(string(c)) }

func createParams(ctx context.Context, p *fleet.Payment, k *fleet.PaymentCall, customer string) *stripe.PaymentIntentParams {
	params := &stripe.PaymentIntentParams{
		Amount: stripe.Int64(k.Amount), Currency: stripe.String(lower(p.Amount.Currency)),
		Customer: stripe.String(customer), PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		CaptureMethod: stripe.String(string(stripe.PaymentIntentCaptureMethodAutomatic)),
	}
	if p.Purpose.Held() {
		params.CaptureMethod = stripe.String(string(stripe.PaymentIntentCaptureMethodManual))
	}
	if k.Method == "" { // the principal will give a card: it is kept for what comes later
		params.SetupFutureUsage = stripe.String(string(stripe.PaymentIntentSetupFutureUsageOffSession))
	}
	params.Context, params.IdempotencyKey = ctx, stripe.String(k.Key)
	params.AddMetadata("booking", p.Booking.String())
	params.AddMetadata("payment", p.ID.String())
	params.AddMetadata("purpose", string(p.Purpose))
	return params
}

func (c *Cashier) confirmParams(ctx context.Context, k *fleet.PaymentCall) *stripe.PaymentIntentConfirmParams {
	params := &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String(k.Method)}
	if k.Session {
		params.SetupFutureUsage = stripe.String(string(stripe.PaymentIntentSetupFutureUsageOffSession))
		params.ReturnURL = stripe.String(c.cfg.ReturnURL)
	} else {
		params.OffSession = stripe.Bool(true)
	}
	params.Context, params.IdempotencyKey = ctx, stripe.String(k.Key)
	params.AddExpand(expanded)
	return params
}

// intent reads a payment intent.
func (c *Cashier) intent(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.PaymentIntentParams{}
	params.Context = ctx
	params.AddExpand(expanded)
	found, err := c.stripe.PaymentIntents.Get(id, params)
	a := reduce(err)
	return found, a.failure()
}

// find looks among a customer's intents for that of a payment. Stripe's search is
// behind by minutes; its lists are not.
func (c *Cashier) find(ctx context.Context, p *fleet.Payment, customer string) (*stripe.PaymentIntent, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.PaymentIntentListParams{Customer: stripe.String(customer)}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	found := c.stripe.PaymentIntents.List(params)
	for found.Next() {
		if intent := found.PaymentIntent(); intent.Metadata["payment"] == p.ID.String() {
			return intent, nil
		}
	}
	a := reduce(found.Err())
	return nil, a.failure()
}

// findRefund looks among the refunds of a payment for one of ours.
func (c *Cashier) findRefund(ctx context.Context, p *fleet.Payment, r fleet.RefundID) (*stripe.Refund, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(p.Stripe)}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	found := c.stripe.Refunds.List(params)
	for found.Next() {
		if refund := found.Refund(); refund.Metadata["refund"] == r.String() {
			return refund, nil
		}
	}
	a := reduce(found.Err())
	return nil, a.failure()
}

// logAnswer tells of what Stripe has refused.
func logAnswer(log *slog.Logger, k *fleet.PaymentCall, a *answer) {
	if a.err != nil {
		log.Info("Stripe did not do what was asked", "step", k.Step, "booking", k.Booking, "payment", k.Payment, "attempt", k.Attempt, "error", a.err)
	}
}
