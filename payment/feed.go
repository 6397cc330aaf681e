package payment

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"armora/fleet"
	"armora/schema"
)

// ReplayWindow is by how much the signature of an event may be older than the clock,
// or ahead of it.
const ReplayWindow = 5 * time.Minute

// FeedConfig is what Feed needs; See and Metrics may be nil.
type FeedConfig struct {
	Cashier *Cashier
	Secrets []string // any of which signs: two, while one is exchanged for the other
	// See looks anew at an object that is not the cashier's, by the prefix of its id:
	// "sub_". An id that is not ours is no error.
	See     map[string]func(ctx context.Context, id string) error
	Metrics prometheus.Registerer
}

// Feed hears what Stripe tells by webhook. It believes none of it but that there is
// something to be looked at: an event may come late, twice, never, or behind
// another, and so what it is about is read anew. It is safe for concurrent use.
type Feed struct {
	*Cashier
	cfg    FeedConfig
	events schema.StripeEvents
	alerts schema.Alerts
	see    map[string]func(ctx context.Context, id string) error
	heard  *prometheus.CounterVec
}

// NewFeed returns a feed. One without a secret, or with an empty one, would believe
// anybody: that is an error.
func NewFeed(cfg FeedConfig) (*Feed, error) {
	if len(cfg.Secrets) == 0 || slices.Contains(cfg.Secrets, "") {
		return nil, errors.New("webhooks need the secret that signs them")
	}
	c := cfg.Cashier
	f := &Feed{
		Cashier: c, cfg: cfg, events: schema.StripeEvents{DB: c.cfg.DB}, alerts: schema.Alerts{DB: c.cfg.DB},
		see: map[string]func(context.Context, string) error{
			"pi_": c.SeeIntent, "ch_": c.SeeCharge, "py_": c.SeeCharge, "re_": c.SeeRefund, "pyr_": c.SeeRefund, "seti_": c.SeeSetup,
			"dp_": c.SeeDispute, "du_": c.SeeDispute, "tr_": c.SeeTransfer, "acct_": c.SeeAccount,
		},
		heard: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_stripe_events_total", Help: "Events that Stripe sent, by what became of them: stored, ignored, other_version (stored, too) or refused.",
		}, []string{"outcome"}),
	}
	for prefix, see := range cfg.See {
		f.see[prefix] = see
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(f.heard); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Take stores an event that came with a signature, Stripe's header of that name, and
// has what it tells of looked at. When it returns nil the event is on disk. One that
// Stripe has not signed, or not now, is CodeInvalid.
func (f *Feed) Take(ctx context.Context, body []byte, signature string) error {
	now := f.Cashier.cfg.Clock.Now()
	told, err := f.open(body, signature, now)
	if err != nil {
		f.heard.WithLabelValues("refused").Inc()
		f.log.Warn("an event was refused that is said to be Stripe's", "error", err)
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "the signature is not of now, or not Stripe's"}
	}
	e := fleet.StripeEvent{
		ID: told.ID, Type: string(told.Type), Object: objectOf(told), Version: told.APIVersion, Created: time.Unix(told.Created, 0).UTC(), Received: now,
	}
	outcome := "stored"
	look := f.looker(e.Object) != nil && (told.Account == "" || told.Account == e.Object) // what is done by connected accounts is their own
	if !look {
		outcome, e.Applied = "ignored", now
	}
	if e.Version != stripe.APIVersion {
		outcome = "other_version"
		if err := f.reportVersion(ctx, e); err != nil {
			return err
		}
	}
	if err := f.events.Add(ctx, e, look); err != nil {
		return err
	}
	f.heard.WithLabelValues(outcome).Inc()
	return nil
}

// open checks the signature and the time that it is of, which Stripe's own client
// holds against the machine's clock, and against the past alone.
func (f *Feed) open(body []byte, signature string, now time.Time) (*stripe.Event, error) {
	at, err := signedAt(signature)
	if err != nil {
		return nil, err
	}
	if age := now.Sub(at); age > ReplayWindow || age < -ReplayWindow {
		return nil, errors.New("signed " + age.String() + " ago")
	}
	options := webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true, IgnoreTolerance: true}
	for _, secret := range f.cfg.Secrets {
		var told stripe.Event
		if told, err = webhook.ConstructEventWithOptions(body, signature, secret, options); err == nil {
			if told.ID == "" {
				return nil, errors.New("it has no id")
			}
			return &told, nil
		}
	}
	return nil, errors.New("not signed with a secret of ours") // the error may quote the body
}

// signedAt is the one time of a signature: "t=1700000000,v1=…".
func signedAt(signature string) (at time.Time, err error) {
	n := 0
	for part := range strings.SplitSeq(signature, ",") {
		if text, ok := strings.CutPrefix(part, "t="); ok {
			n++
			seconds, malformed := strconv.ParseInt(text, 10, 64)
			if malformed != nil {
				return at, errors.New("its time is not one")
			}
			at = time.Unix(seconds, 0)
		}
	}
	if n != 1 {
		return at, errors.New("it has no time, or several")
	}
	return at, nil
}

// objectOf is the id of what an event tells of.
func objectOf(e *stripe.Event) string {
	var object struct {
		ID string `json:"id"`
	}
	if e.Data != nil && json.Unmarshal(e.Data.Raw, &object) == nil {
		return object.ID
	}
	return ""
}

// looker is what looks at an object anew; nil: nobody wants to know of it.
func (f *Feed) looker(object string) func(context.Context, string) error {
	prefix, _, found := strings.Cut(object, "_")
	if !found {
		return nil
	}
	return f.see[prefix+"_"]
}

// reportVersion tells ops that the webhook is registered with another version: what
// it tells of is read anew in ours, but somebody has changed what they should not.
func (f *Feed) reportVersion(ctx context.Context, e fleet.StripeEvent) error {
	data, err := json.Marshal(map[string]string{"version": e.Version, "event": e.ID, "wanted": stripe.APIVersion})
	if err != nil {
		return err
	}
	return f.alerts.Raise(ctx, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertStripeVersion, Data: data, Raised: e.Received})
}

// Look looks anew at what a stored event tells of.
func (f *Feed) Look(ctx context.Context, event string) error {
	e, err := f.events.Get(ctx, event)
	if err != nil || !e.Applied.IsZero() {
		return ifNotOurs(err)
	}
	if see := f.looker(e.Object); see != nil {
		if err := see(ctx, e.Object); err != nil {
			return err
		}
	}
	return f.events.Applied(ctx, e.ID, f.Cashier.cfg.Clock.Now())
}

// AddWorkers adds the worker of events. That of a nil feed does nothing.
func (f *Feed) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.SeeStripe]) error {
		if f == nil {
			return nil
		}
		return f.again(f.Look(ctx, job.Args.Event))
	}))
}
