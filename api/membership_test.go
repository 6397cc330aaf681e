package api

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/sim/stripe"
)

// keeps has a person keep a card by the client's card form, and their bank agree.
func (p *person) keeps(number string) {
	p.h.t.Helper()
	begun := as[struct {
		Secret string `json:"client_secret"`
	}](p.h.t, p.must(http.StatusCreated, "POST", "/api/payments/methods", nil))
	card, err := p.h.browser.Card(p.h.t.Context(), number)
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.confirms(begun.Secret, card)
}

// confirms is the client's card form, and the bank that is told yes.
func (p *person) confirms(secret, card string) {
	p.h.t.Helper()
	next, err := p.h.browser.Confirm(p.h.t.Context(), secret, card)
	if err == nil && next.URL != "" {
		err = p.h.browser.Authenticate(p.h.t.Context(), next.URL, true)
	}
	if err != nil {
		p.h.t.Fatal(err)
	}
}

func (p *person) quoted() int64 {
	p.h.t.Helper()
	return as[Quote](p.h.t, p.must(http.StatusCreated, "POST", "/api/quotes", transfer())).Total.Amount
}

// From a trial by a card whose bank asks to a month that is past due, paid, and the
// end: each is quoted for as it is, and what was booked keeps its price.
func TestAMembershipIsQuotedAsItStands(t *testing.T) {
	t.Parallel()
	h := newHub(t, byCard)
	ada := h.person(fleet.RoleRider)
	const path = "/api/users/membership"
	standard := ada.quoted()
	stands := func(state fleet.MembershipState, member bool) Membership {
		t.Helper()
		m := as[Membership](t, ada.must(http.StatusOK, "GET", path, nil))
		if m.State != state || m.Member != member {
			t.Errorf("it is %s, a member %v, want %s, %v", m.State, m.Member, state, member)
		}
		if less := ada.quoted() < standard; less != member {
			t.Errorf("while %s it is quoted for less: %v", state, less)
		}
		return m
	}
	join := func() Joining {
		t.Helper()
		return as[Joining](t, ada.must(http.StatusCreated, "POST", path, map[string]any{}))
	}
	later := func(d time.Duration) {
		h.clock.Advance(d)
		ada.signIn()
	}
	var secrets []string
	problem(t, ada.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, ada.do("POST", path, map[string]any{}), http.StatusConflict, fleet.CodeConflict) // without a card
	problem(t, ada.do("POST", path, map[string]any{"payment_method_id": h.cardOf(h.person(fleet.RoleRider))}), http.StatusNotFound, fleet.CodeNotFound)

	ada.keeps(stripe.AlwaysAuthenticate)
	trial := join()
	if trial.State != fleet.MembershipTrialing || trial.NextAction == nil || trial.NextAction.Type != payment.ActSetUpCard {
		t.Fatalf("joined %+v", trial)
	}
	secrets = append(secrets, trial.ClientSecret)
	ada.confirms(trial.ClientSecret, "")
	if m := stands(fleet.MembershipTrialing, true); !m.Until.Equal(noon.AddDate(0, 0, 14)) {
		t.Errorf("until %s", m.Until)
	}
	booked := ada.book(tomorrow)
	problem(t, h.person(fleet.RoleRider).do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound) // each has their own

	later(14 * 24 * time.Hour) // their bank wants them, and they are away
	stands(fleet.MembershipPastDue, false)
	if kept := ada.booking(booked.ID); *kept.Total != *booked.Total {
		t.Errorf("what was booked for %s is %s", booked.Total, kept.Total)
	}
	due := join()
	if due.State != fleet.MembershipPastDue || due.NextAction == nil || due.NextAction.Type != payment.ActAuthenticate || due.ClientSecret == "" {
		t.Fatalf("past due, and asked again: %+v", due)
	}
	secrets = append(secrets, due.ClientSecret)
	ada.confirms(due.ClientSecret, "")
	stands(fleet.MembershipActive, true)

	left := as[Membership](t, ada.must(http.StatusOK, "DELETE", path, nil))
	if !left.Cancelling {
		t.Errorf("left %+v", left)
	}
	stands(fleet.MembershipActive, true)
	later(32 * 24 * time.Hour)
	problem(t, ada.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	if total := ada.quoted(); total != standard {
		t.Errorf("after its end %d is quoted, want %d", total, standard)
	}

	again := join() // no second trial: it is nothing until the bank has its answer
	if again.ID == trial.ID || again.NextAction == nil || again.NextAction.URL == "" {
		t.Fatalf("joined again: %+v", again)
	}
	stands(fleet.MembershipIncomplete, false)
	if err := h.browser.Authenticate(t.Context(), again.NextAction.URL, true); err != nil {
		t.Fatal(err)
	}
	stands(fleet.MembershipActive, true)
	if ended := as[Membership](t, ada.must(http.StatusOK, "DELETE", path+"?now=true", nil)); ended.State != fleet.MembershipEnded || ended.Member {
		t.Errorf("left at once: %+v", ended)
	}
	problem(t, ada.do("DELETE", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	h.stop()
	for _, secret := range append(secrets, again.ClientSecret) {
		if secret == "" || bytes.Contains(h.log.Bytes(), []byte(secret)) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
