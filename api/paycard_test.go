package api

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"armora/payment"
	"armora/sim/stripe"
)

// within is text of an expression of a frame's whose address begins with url; "" while there
// is none.
func (b *browser) within(url, expression string) string {
	b.t.Helper()
	tree, _ := b.call("Page.getFrameTree", nil)["frameTree"].(map[string]any)
	frames, _ := tree["childFrames"].([]any)
	for _, one := range frames {
		frame, _ := one.(map[string]any)["frame"].(map[string]any)
		if at, _ := frame["url"].(string); !strings.HasPrefix(at, url) {
			continue
		}
		world, refused := b.ask("Page.createIsolatedWorld", map[string]any{"frameId": frame["id"]})
		if refused != "" {
			return ""
		}
		answer, _ := b.ask("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true, "contextId": world["executionContextId"]})
		result, _ := answer["result"].(map[string]any)
		text, _ := result["value"].(string)
		return text
	}
	return ""
}

// types gives a new card: its number goes into the frame of Stripe's.
func (p *payer) types(number string) {
	p.h.t.Helper()
	p.b.text("[...document.querySelectorAll('#cards label')].find((l) => l.textContent.endsWith('a new card')).click()")
	p.h.until("the card form is there", func() bool {
		return p.b.within(p.h.browser.URL+"/v3/card", "(() => { const form = document.forms[0]; form.number.value = '"+number+
			"'; form.month.value = '12'; form.year.value = '2099'; form.cvc.value = '123'; return form.number.value })()") == number
	})
	p.send("pay", "")
}

// A principal without a card gives one on the page, in Stripe's card form: one that its bank
// refuses, and one for which their bank asks in a frame of its own. It is kept, and pays.
func TestANewCardIsGivenOnThePage(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := newHub(t, byCard)
	ada := newCardless(h, b)
	id := ada.booked()
	ada.follows(id)
	ada.signsIn(ada.password, "")
	h.until("a new card is chosen", func() bool {
		return b.text("document.querySelector('#pay:not([hidden]) #cards input:checked')?.value") == "new" && b.text("document.querySelector('#new-card iframe')?.src") == h.browser.URL+"/v3/card"
	})
	ada.types(stripe.InsufficientFunds)
	ada.says("Your card was declined.")
	ada.types(stripe.AuthenticateUnlessSetUp)
	bank := ""
	h.until("their bank asks", func() bool {
		bank = b.text("document.querySelector('iframe[title=\"Your bank\"]')?.src")
		return strings.HasPrefix(bank, h.browser.URL+"/authenticate/")
	})
	if wide := b.text("document.documentElement.scrollWidth <= innerWidth"); wide != "true" {
		t.Error("the page is wider than the phone")
	}
	if err := h.browser.Authenticate(t.Context(), bank, true); err != nil {
		t.Fatal(err)
	}
	ada.says("Thank you. It is seen to.")
	if refused := b.text("refused"); refused != "" {
		t.Errorf("the page asked for %s", refused)
	}
	if r := as[Reservation](t, ada.must(http.StatusOK, "POST", "/api/payments/reserve", map[string]any{"booking_id": id})); r.Status != "held" {
		t.Errorf("reserved %+v", r)
	}
	cards := as[struct{ Items []Card }](t, ada.must(http.StatusOK, "GET", "/api/payments/methods", nil)).Items
	if setups := stripe.All[stripe.SetupIntent](h.stripe); len(cards) != 1 || cards[0].Last4 != "3155" || len(setups) != 1 {
		t.Errorf("cards are %+v, set up by %d", cards, len(setups))
	}
}

// Who has a second factor is asked for it on the page. Where Stripe's script does not come, a
// card is given in the app.
func TestAPayerWithASecondFactorAndNoCardForm(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := newHub(t, byCard, func(cfg *Config) {
		var err error
		cfg.Payments, err = payment.New(payment.Config{
			DB: cfg.DB, Key: "sk_test_api", PublishableKey: "pk_test_api", Script: "http://127.0.0.1:1/v3/", Clock: cfg.Clock, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	ada := newCardless(h, b)
	secret := as[struct{ Secret string }](t, ada.must(http.StatusCreated, "POST", "/api/auth/totp", nil)).Secret
	code := func() string {
		text, err := totp.GenerateCode(secret, h.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ada.must(http.StatusOK, "POST", "/api/auth/totp/confirm", map[string]string{"otp": code()})
	h.clock.Advance(time.Minute) // a code is good once
	ada.follows("membership")
	if b.text("document.getElementById('second').hidden") != "true" {
		t.Error("everybody is asked for a code")
	}
	ada.signsIn(ada.password, "")
	h.until("they are asked for a code", func() bool { return b.text("document.getElementById('second').hidden") == "false" })
	ada.signsIn(ada.password, "form.otp.value = '12345'")
	ada.says("E-mail, password or code is wrong.")
	ada.signsIn(ada.password, "form.otp.value = '"+code()+"'")
	ada.says("No card of yours is kept. Please give one in the app.")
	if b.text("document.getElementById('pay').hidden") != "true" {
		t.Error("cards may be chosen")
	}
}

// The page may run Stripe's script, and show its frames, from where it is said to be alone.
func TestThePolicyOfThePayPage(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"": "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';",
		"http://127.0.0.1:9/v3/": "script-src 'self' http://127.0.0.1:9; style-src 'self'; connect-src 'self' http://127.0.0.1:9; img-src 'self' data:; " +
			"frame-src http://127.0.0.1:9; base-uri 'none';",
		"https://js.stripe.com/v3/": "script-src 'self' https://js.stripe.com https://*.js.stripe.com; style-src 'self'; connect-src 'self' https://api.stripe.com; " +
			"img-src 'self' data:; frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; base-uri 'none';",
	} {
		if got := payPolicy(script); !strings.HasPrefix(got, "default-src 'none'; "+want) {
			t.Errorf("for %q: %s", script, got)
		}
	}
	h := newHub(t)
	for path, runs := range map[string]bool{"/pay": true, "/paid": false, "/watch": false} {
		policy := h.do("GET", path, nil).Header.Get("Content-Security-Policy")
		if strings.Contains(policy, h.browser.URL) != runs {
			t.Errorf("of %s: %s", path, policy)
		}
	}
}
