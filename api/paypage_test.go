package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// payer is a principal on the page of a link about a payment.
type payer struct {
	*person
	b        *browser
	password string
}

// newPayer has somebody sign in by a password who keeps a card that is refused and one
// for which their bank wants them.
func newPayer(h *hub, b *browser) *payer {
	h.t.Helper()
	p := newCardless(h, b)
	p.keeps(stripe.DeclineAfterAttach)
	p.keeps(stripe.AlwaysAuthenticate)
	return p
}

// newCardless has somebody sign in by a password who keeps no card.
func newCardless(h *hub, b *browser) *payer {
	h.t.Helper()
	p := &payer{person: h.person(fleet.RoleRider), b: b, password: "a long enough phrase"}
	hash, err := argon2id.CreateHash(p.password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err == nil {
		_, err = h.db.Pool().Exec(h.t.Context(), `UPDATE users SET password = $2 WHERE id = $1`, p.id, hash)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{
		"source": "window.refused = []; addEventListener('securitypolicyviolation', (e) => refused.push(e.blockedURI))",
	})
	return p
}

func (p *payer) says(want string) {
	p.h.t.Helper()
	p.h.until("the page says "+want, func() bool { return p.b.text("document.getElementById('said')?.textContent") == want })
}

// follows opens a link.
func (p *payer) follows(about string) {
	p.h.t.Helper()
	p.b.call("Page.navigate", map[string]any{"url": "about:blank"})
	p.b.call("Page.navigate", map[string]any{"url": p.h.url + "/pay#" + about})
	p.h.until("the page is there", func() bool { return p.b.text("document.querySelector('#sign-in button')?.disabled") == "false" })
}

// signsIn gives a password, and more of the form.
func (p *payer) signsIn(password, more string) {
	p.h.t.Helper()
	p.send("sign-in", "form.email.value = '"+p.id.String()+"@example.com'; form.password.value = '"+password+"'; "+more)
}

// opens opens a link, and signs in.
func (p *payer) opens(about string, passwords ...string) {
	p.h.t.Helper()
	p.follows(about)
	for _, password := range append(passwords, p.password) {
		p.signsIn(password, "")
		if password != p.password {
			p.says("E-mail, password or code is wrong.")
		}
	}
	p.h.until("the cards are there", func() bool {
		return p.b.text("!document.getElementById('pay').hidden && document.querySelectorAll('#cards label').length") == "3" // with a new one
	})
}

// pays chooses a card.
func (p *payer) pays(last4 string) {
	p.h.t.Helper()
	p.send("pay", "[...form.querySelectorAll('label')].find((l) => l.textContent.endsWith('"+last4+"')).click()")
}

func (p *payer) send(form, fields string) {
	p.h.t.Helper()
	p.b.text("(() => { const form = document.getElementById('" + form + "'); " + fields + "; form.requestSubmit() })()")
}

// approves is on their bank's page, where the link has led them, and says yes.
func (p *payer) approves() {
	p.h.t.Helper()
	p.h.until("the bank's page is there", func() bool { return strings.HasPrefix(p.b.text("location.href"), p.h.browser.URL) })
	if err := p.h.browser.Authenticate(p.h.t.Context(), p.b.text("location.href"), true); err != nil {
		p.h.t.Fatal(err)
	}
}

// A principal whose bank wants them pays by the link that they were sent: they sign in on
// its page, choose a card, and are led to their bank's page and back. So is paid what is
// owed for an assignment that is over, and a month of a membership that is past due.
func TestALinkAboutAPaymentLeadsToTheBank(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := newHub(t, byCard)
	ada := newPayer(h, b)
	id := ada.booked()
	ada.opens(id, "not it")
	ada.pays("0341")
	ada.says("By this card it is not paid. Please choose another one, or give a new one.")
	if wide := b.text("document.documentElement.scrollWidth <= innerWidth"); wide != "true" {
		t.Error("the page is wider than the phone")
	}
	if refused := b.text("refused"); refused != "" {
		t.Errorf("the page asked for %s", refused)
	}
	ada.pays("3184")
	ada.approves()
	b.call("Page.navigate", map[string]any{"url": h.url + "/paid"})
	h.until("they are thanked", func() bool { return b.text("document.querySelector('h1')?.textContent") == "Thank you" })
	if r := as[Reservation](t, ada.must(http.StatusOK, "POST", "/api/payments/reserve", map[string]any{"booking_id": id})); r.Status != "held" {
		t.Errorf("reserved %+v", r)
	}
	ada.opens(id)
	ada.pays("3184")
	ada.says("Thank you. It is seen to.")

	owes(h, ada)
	ada.must(http.StatusOK, "PUT", "/api/bookings/"+id+"/cancel", map[string]any{})
	ada.opens(id) // free, and over
	ada.pays("3184")
	ada.says("There is nothing to pay.")
	renews(h, ada)
}

// owes has a fee be owed, which is paid by its link.
func owes(h *hub, ada *payer) {
	h.t.Helper()
	ada.h.debtOf(ada.person)
	owed := func() []Debt {
		return as[page[Debt]](h.t, ada.must(http.StatusOK, "GET", "/api/payments/debts?open=true", nil)).Items
	}
	debt := owed()[0]
	h.change(debt.BookingID, func(c *schema.BookingTx) error {
		c.Fee = debt.Amount
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
	})
	ada.opens(debt.BookingID.String())
	ada.pays("3184")
	ada.approves()
	ada.must(http.StatusOK, "POST", "/api/payments/debts/"+debt.ID.String()+"/pay", map[string]any{}) // and so it is seen
	if left := owed(); len(left) != 0 {
		h.t.Errorf("debts are %+v", left)
	}
}

// renews has a month of a membership be past due, which is paid by its link.
func renews(h *hub, ada *payer) {
	h.t.Helper()
	const path = "/api/users/membership"
	card := as[struct{ Items []Card }](h.t, ada.must(http.StatusOK, "GET", "/api/payments/methods", nil)).Items[0]
	trial := as[Joining](h.t, ada.must(http.StatusCreated, "POST", path, map[string]any{"payment_method_id": card.ID}))
	ada.confirms(trial.ClientSecret, "")
	h.clock.Advance(14 * 24 * time.Hour)
	ada.signIn()
	if m := as[Membership](h.t, ada.must(http.StatusOK, "GET", path, nil)); m.State != fleet.MembershipPastDue {
		h.t.Errorf("it is %s", m.State)
	}
	ada.opens("membership")
	ada.pays(card.Last4)
	ada.approves()
	if m := as[Membership](h.t, ada.must(http.StatusOK, "GET", path, nil)); m.State != fleet.MembershipActive {
		h.t.Errorf("it is %s", m.State)
	}
}
