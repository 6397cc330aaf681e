package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// state is what a server goes on from: all but events, which are not sent again, and
// where they were sent to.
type state struct {
	Objects []saved  `json:"objects"`
	Keys    []result `json:"keys"`
}

// saved is an object.
type saved struct {
	Body json.RawMessage `json:"body"` // as the API shows it
	Kept kept            `json:"kept,omitzero"`
}

// kept is what belongs to an object and the API does not show.
type kept struct {
	Card        string `json:"card,omitempty"` // the number of a magic one
	SetUp       bool   `json:"set_up,omitempty"`
	Used        bool   `json:"used,omitempty"`
	Warned      bool   `json:"warned,omitempty"`
	Transferred int64  `json:"transferred,omitempty"`
	Back        string `json:"back,omitempty"`
	Of          string `json:"of,omitempty"`
	Balance     int64  `json:"balance,omitempty"`
}

// result is that of an idempotency key.
type result struct {
	Key    string    `json:"key"`
	Digest []byte    `json:"digest"`
	At     time.Time `json:"at"`
	Status int       `json:"status"`
	Body   []byte    `json:"body"`
}

func keptOf(noun Noun) kept {
	switch o := noun.(type) {
	case *Method:
		return kept{Card: o.magic.Number, SetUp: o.setUp, Used: o.used}
	case *Charge:
		return kept{Card: o.magic.Number, Transferred: o.transferred}
	case *Account:
		return kept{Balance: o.balance}
	case *Subscription:
		return kept{Warned: o.warned}
	case *Intent:
		return kept{Back: o.back}
	case *challenge:
		return kept{Of: o.of, Back: o.back}
	}
	return kept{}
}

func (k kept) give(noun Noun) {
	card, _ := magic(k.Card) // the zero one of what has none
	switch o := noun.(type) {
	case *Method:
		o.magic, o.setUp, o.used = card, k.SetUp, k.Used
	case *Charge:
		o.magic, o.transferred = card, k.Transferred
	case *Account:
		o.balance = k.Balance
	case *Subscription:
		o.warned = k.Warned
	case *Intent:
		o.back = k.Back
	case *challenge:
		o.of, o.back = k.Of, k.Back
	}
}

// blank is an object of a kind, nil of one that is not kept.
func blank(kind string) Noun {
	switch kind {
	case "customer":
		return new(Customer)
	case "payment_method":
		return new(Method)
	case "setup_intent":
		return new(SetupIntent)
	case "payment_intent":
		return new(Intent)
	case "charge":
		return new(Charge)
	case "refund":
		return new(Refund)
	case "dispute":
		return new(Dispute)
	case "balance_transaction":
		return new(BalanceTransaction)
	case "account":
		return new(Account)
	case "transfer":
		return new(Transfer)
	case "transfer_reversal":
		return new(Reversal)
	case "product":
		return new(Product)
	case "price":
		return new(Price)
	case "subscription":
		return new(Subscription)
	case "invoice":
		return new(Invoice)
	case "three_d_secure":
		return new(challenge)
	}
	return nil
}

// snapshot is the state as JSON, and how often it had changed by then.
func (s *Server) snapshot() (body []byte, changes int, err error) {
	s.locked(func() {
		now := state{Objects: []saved{}, Keys: []result{}}
		for _, noun := range s.nouns {
			if blank(noun.head().Object) == nil {
				continue
			}
			var o saved
			if o.Body, err = json.Marshal(noun); err != nil {
				return
			}
			o.Kept = keptOf(noun)
			now.Objects = append(now.Objects, o)
		}
		for key, k := range s.keys {
			if !k.flying {
				now.Keys = append(now.Keys, result{key, k.digest[:], k.at, k.status, k.body})
			}
		}
		body, err = json.Marshal(now)
		changes = s.changes
	})
	return body, changes, err
}

// Restore goes on from what was written to a file, if it is there; base is where the
// server is found now. It comes before all else.
func (s *Server) Restore(path, base string) error {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var was state
	if err == nil {
		err = json.Unmarshal(body, &was)
	}
	if err != nil {
		return fmt.Errorf("what Stripe was in %s: %w", path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range was.Objects {
		var head Head
		if err := json.Unmarshal(o.Body, &head); err != nil {
			return err
		}
		noun := blank(head.Object)
		if noun == nil {
			return fmt.Errorf("%s: there is no %q", path, head.Object)
		}
		if err := json.Unmarshal(o.Body, noun); err != nil {
			return err
		}
		o.Kept.give(noun)
		rebase(noun, base)
		s.add(noun)
	}
	for _, noun := range s.nouns {
		s.foresee(noun)
	}
	for _, k := range was.Keys {
		one := &keyed{at: k.At, status: k.Status, body: k.Body}
		copy(one.digest[:], k.Digest)
		s.keys[k.Key] = one
	}
	return nil
}

// rebase has the page of an intent that waits for its holder be where the server is.
func rebase(noun Noun, base string) {
	var next *NextAction
	switch o := noun.(type) {
	case *Intent:
		next = o.NextAction
	case *SetupIntent:
		next = o.NextAction
	}
	page := next.page()
	i := strings.Index(page, "/authenticate/")
	switch {
	case i < 0:
	case next.RedirectToURL != nil:
		next.RedirectToURL.URL = base + page[i:]
	default:
		next.UseStripeSDK["stripe_js"] = base + page[i:]
	}
}

// Keep writes the state to a file: a second after it has changed, and when ctx ends.
// Who is killed loses what was done in between.
func (s *Server) Keep(ctx context.Context, path string) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	written := 0
	for {
		select {
		case <-ctx.Done():
			return s.write(path, &written)
		case <-ticker.C:
			if err := s.write(path, &written); err != nil {
				return err
			}
		}
	}
}

func (s *Server) write(path string, written *int) error {
	s.mu.Lock()
	same := s.changes == *written
	s.mu.Unlock()
	if same {
		return nil
	}
	body, changes, err := s.snapshot()
	if err == nil {
		err = os.WriteFile(path+".new", body, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		*written = changes
	}
	return err
}
