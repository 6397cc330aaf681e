package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"armora/fleet"
	"armora/schema/schematest"
	"armora/sim/loopback"
	"armora/sim/stripe"
)

var signingSecret = regexp.MustCompile(`STRIPE_WEBHOOK_SECRET=(whsec_\S+)`)

// The hub is registered with Stripe once, for what it wants to hear and in its
// version; the secret that is told then makes it believe what Stripe sends.
func TestStripeIsToldOfTheHub(t *testing.T) {
	t.Parallel()
	fake := stripe.New(testStripeKey, testPublishableKey, fleet.SystemClock{})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	dsn, at := schematest.PlainDSN(t), loopback.Free(t)
	env := []string{"ARMORA_STRIPE_URL=" + server.URL, "ARMORA_HTTP_ADDR=" + at, "DATABASE_URL=" + dsn}
	run := func(args ...string) (out, errs string, code int) {
		t.Helper()
		cmd := command(t, env, append([]string{"admin", "stripe-webhook"}, args...)...)
		var said, failed bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &failed
		_ = cmd.Run() // how it ended is in ProcessState
		return said.String(), failed.String(), cmd.ProcessState.ExitCode()
	}
	registered := func() stripe.Endpoint {
		t.Helper()
		all := stripe.All[stripe.Endpoint](fake)
		if len(all) != 1 {
			t.Fatalf("registered %d times", len(all))
		}
		return all[0]
	}

	out, errs, code := run()
	first := signingSecret.FindStringSubmatch(out)
	if code != 0 || first == nil || strings.Contains(errs, "whsec_") {
		t.Fatalf("it ends with %d: %s%s", code, out, errs)
	}
	made := registered()
	if made.URL != "http://"+at+webhookPath || made.APIVersion != "2023-10-16" || made.Status != "enabled" {
		t.Errorf("registered %+v", made)
	}
	for _, wanted := range []string{
		"payment_intent.amount_capturable_updated", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.requires_action",
		"payment_intent.canceled", "payment_intent.processing", "charge.expired", "charge.refunded", "charge.refund.updated", "charge.dispute.created",
		"charge.dispute.closed", "setup_intent.succeeded", "setup_intent.setup_failed", "customer.subscription.updated", "customer.subscription.deleted",
		"invoice.paid", "invoice.payment_failed", "invoice.payment_action_required",
	} {
		if !slices.Contains(made.EnabledEvents, wanted) {
			t.Errorf("it does not ask for %s", wanted)
		}
	}

	// Again it is refused, and leaves nothing behind.
	file := filepath.Join(t.TempDir(), "secret.env")
	if out, errs, code := run("--out", file); code != 1 || out != "" || !strings.Contains(errs, "already") {
		t.Errorf("again it ends with %d: %s%s", code, out, errs)
	}
	if _, err := os.Stat(file); err == nil || registered().ID != made.ID {
		t.Errorf("it was registered again, or left a file: %v", err)
	}
	if out, errs, code := run("--out", file, "--replace"); code != 0 || strings.Contains(out+errs, "whsec_") {
		t.Fatalf("replacing ends with %d: %s%s", code, out, errs)
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file is %v, %v", info.Mode(), err)
	}
	second := signingSecret.FindStringSubmatch(string(kept))
	if second == nil || second[1] == first[1] || registered().ID == made.ID {
		t.Fatalf("replaced, and it is the same: %s", kept)
	}

	// A hub with that secret takes what Stripe sends, one with the old one does not.
	env = append(env, "STRIPE_WEBHOOK_SECRET="+first[1])
	h := serveAt(t, at, env...)
	cancelled(t, server.URL)
	if taken, refused := fake.Deliver(t.Context()); taken != 0 || refused != 1 {
		t.Errorf("with the secret that was replaced: %d taken, %d refused", taken, refused)
	}
	h.stop()
	h.env = append(h.env[:len(h.env)-1], "STRIPE_WEBHOOK_SECRET="+first[1]+","+second[1]) // while one is exchanged for the other
	h.start()
	cancelled(t, server.URL)
	if taken, refused := fake.Deliver(t.Context()); taken != 1 || refused != 0 {
		t.Errorf("with the secret: %d taken, %d refused", taken, refused)
	}
	if n := h.metric(`armora_stripe_events_total\{outcome="stored"\}`); n != 1 {
		t.Errorf("%g events are stored", n)
	}
}

// serveAt starts a hub at an address.
func serveAt(t *testing.T, at string, env ...string) *served {
	t.Helper()
	h := &served{t: t, dir: schematest.Dir(t), env: env, mqtt: loopback.Free(t), http: at, stderr: new(safeBuffer), token: testToken}
	t.Cleanup(h.cleanUp)
	h.start()
	return h
}

// cancelled makes an intent and cancels it, of which Stripe tells.
func cancelled(t *testing.T, at string) {
	t.Helper()
	post := func(path string, form url.Values) (made struct{ ID string }) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(testStripeKey, "")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, answer.Status, err)
		}
		return made
	}
	post("/v1/payment_intents/"+post("/v1/payment_intents", url.Values{"amount": {"100"}, "currency": {"gbp"}}).ID+"/cancel", nil)
}
