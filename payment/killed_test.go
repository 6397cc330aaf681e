package payment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// verb is something that a hub does to money, in a process of its own.
type verb struct {
	Do, DSN, URL string
	Now          time.Time
	Booking      fleet.BookingID
	Payment      fleet.PaymentID
	Debt         fleet.DebtID
	User         fleet.UserID
	Amount       int64
	Method       string
	Intent       string
}

const verbVariable = "ARMORA_TEST_VERB"

// TestMain is that process where it is told of a verb.
func TestMain(m *testing.M) {
	text := os.Getenv(verbVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var v verb
	err := json.Unmarshal([]byte(text), &v)
	if err == nil {
		err = v.does(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (v *verb) does(ctx context.Context) error {
	db, err := schema.Open(ctx, v.DSN, schema.Options{MaxConns: 4})
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := payment.New(payment.Config{
		DB: db, Key: "sk_test_till", PublishableKey: "pk_test_till", URL: v.URL, ReturnURL: "https://armora.test/paid", Link: "https://armora.test/pay#", Connect: true,
		Clock: fleet.NewManualClock(v.Now), Log: slog.New(slog.DiscardHandler),
		Tell: func(fleet.Tidings) schema.Telling {
			return func(fleet.User) ([]fleet.Notice, error) { return nil, nil }
		},
	})
	if err != nil {
		return err
	}
	finance := payment.Staff{Roles: []fleet.Role{fleet.RoleFinance}}
	switch v.Do {
	case "settle":
		err = c.Settle(ctx, v.Booking)
	case "charge":
		_, err = c.Charge(ctx, finance, v.Payment)
	case "refund":
		_, err = c.Refund(ctx, finance, v.Payment, v.Amount, "it was late")
	case "pay":
		_, err = c.PayDebt(ctx, v.User, v.Debt, v.Method)
	case "see":
		err = c.SeeIntent(ctx, v.Intent)
	default:
		err = errors.New("what is " + v.Do + "?")
	}
	return err
}

// reaper kills the hub at one of its requests to Stripe. That one verb of a flow is done by
// a process of its own; the others are done here.
type reaper struct {
	mu       sync.Mutex
	verbs    int   // so far
	requests int   // of those that move money, so far
	began    []int // how many requests there had been before each verb
	verb, at int   // which verb is killed, and at which request; 0: none
	act      stripe.Act
	process  *os.Process
	gone     chan struct{} // closed when the process has ended
}

// request is asked by Stripe before each.
func (r *reaper) request(of stripe.Request) stripe.Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of.Method != http.MethodPost || !slices.ContainsFunc(moving, func(path string) bool { return strings.HasPrefix(of.Path, path) }) {
		return stripe.Pass
	}
	if r.requests++; r.requests != r.at || r.process == nil {
		return stripe.Pass
	}
	_ = r.process.Kill() // it cannot have ended: it waits for an answer
	<-r.gone
	return r.act
}

// doom has the process be killed that makes a request.
func (r *reaper) doom(at int, act stripe.Act) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verbs, r.requests, r.at, r.act, r.verb = 0, 0, at, act, 0
	for i, before := range r.began {
		if before < at {
			r.verb = i + 1
		}
	}
}

// by does a verb here, unless it is the one that is killed.
func (w *till) by(v verb, here func() error) error {
	r := w.reaper
	if r == nil {
		return here()
	}
	r.mu.Lock()
	if r.verbs++; r.at == 0 {
		r.began = append(r.began, r.requests)
	}
	if r.at == 0 || r.verbs != r.verb {
		r.mu.Unlock()
		return here()
	}
	v.DSN, v.URL, v.Now = w.dsn, w.url, w.clock.Now()
	text, err := json.Marshal(v)
	w.must(err)
	var said strings.Builder
	cmd := exec.Command(os.Args[0]) //nolint:noctx // it is killed
	cmd.Env, cmd.Stderr = append(os.Environ(), verbVariable+"="+string(text)), &said
	w.must(cmd.Start())
	r.process, r.gone = cmd.Process, make(chan struct{})
	r.mu.Unlock()
	_ = cmd.Wait() // how it ended is in ProcessState
	close(r.gone)
	if cmd.ProcessState.Exited() {
		w.t.Errorf("%s at request %d was not killed: %s", v.Do, r.at, said.String())
	}
	return errors.New("killed")
}

// Settle and the others are what acts have the hub do, in whichever process.

func (w *till) Settle(ctx context.Context, b fleet.BookingID) error {
	return w.by(verb{Do: "settle", Booking: b}, func() error { return w.Cashier.Settle(ctx, b) })
}

func (w *till) Charge(ctx context.Context, by payment.Staff, id fleet.PaymentID) (p fleet.Payment, err error) {
	err = w.by(verb{Do: "charge", Payment: id}, func() error { p, err = w.Cashier.Charge(ctx, by, id); return err })
	return p, err
}

func (w *till) Refund(ctx context.Context, by payment.Staff, id fleet.PaymentID, amount int64, reason string) (r fleet.Refund, err error) {
	err = w.by(verb{Do: "refund", Payment: id, Amount: amount}, func() error { r, err = w.Cashier.Refund(ctx, by, id, amount, reason); return err })
	return r, err
}

func (w *till) PayDebt(ctx context.Context, user fleet.UserID, id fleet.DebtID, method string) (r payment.Reservation, err error) {
	err = w.by(verb{Do: "pay", User: user, Debt: id, Method: method}, func() error { r, err = w.Cashier.PayDebt(ctx, user, id, method); return err })
	return r, err
}

func (w *till) SeeIntent(ctx context.Context, id string) error {
	return w.by(verb{Do: "see", Intent: id}, func() error { return w.Cashier.SeeIntent(ctx, id) })
}

// The process of the hub is killed at each request to Stripe of each flow, before Stripe
// has it and after Stripe has done it: nothing of it is left but what is in the database.
// Another goes on, and it comes to the same.
func TestAHubIsKilledAtEachRequest(t *testing.T) {
	t.Parallel()
	for name, flow := range flows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTill(t)
			w.keeps(stripe.Visa)
			w.reaper = new(reaper)
			w.stripe.Interfere(w.reaper.request)
			if got := w.state(w.goes(flow.in, flow.acts)); got != flow.want {
				t.Fatalf("unharmed: %s, want %s", got, flow.want)
			}
			steps := w.reaper.requests
			for how, act := range map[string]stripe.Act{"before": stripe.Cut, "after": stripe.Lose} {
				for step := 1; step <= steps; step++ {
					w.reaper.doom(step, act)
					b := w.goes(flow.in, flow.acts)
					if got := w.state(b); got != flow.want {
						t.Errorf("killed %s request %d of %d: %s, want %s", how, step, steps, got, flow.want)
					}
					if w.reaper.process == nil {
						t.Errorf("killed %s request %d of %d: it was not", how, step, steps)
					}
					w.reaper.process = nil
					w.wantTruth(b)
					w.twins(b)
				}
			}
			w.agrees()
		})
	}
}
