package main

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"armora/fleet"
	"armora/sim/stripe"
)

// signsIn is the API as the demo's principal sees it, by the login that it prints.
func signsIn(t *testing.T, out *safeBuffer) *served {
	t.Helper()
	login := printed(t, out, `-d '\{"email":"(rider@[^"]+)","password":"([^"]+)"\}' (http://[^/]+)`)
	h := &served{t: t, api: login[3]}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	h.read(h.ask("POST", "/api/auth/login", map[string]any{"email": login[1], "password": login[2]}, http.StatusOK), &tokens)
	h.token = tokens.AccessToken
	return h
}

// keepsCard gives the demo's Stripe a card, as the client's card form does.
func (h *served) keepsCard(out *safeBuffer) {
	h.t.Helper()
	form := stripe.Browser{URL: printed(h.t, out, `payments go to (\S+),`)[1], Key: testPublishableKey}
	var begun struct {
		Secret string `json:"client_secret"`
	}
	h.read(h.ask("POST", "/api/payments/methods", nil, http.StatusCreated), &begun)
	card, err := form.Card(h.t.Context(), stripe.Visa)
	if err == nil {
		_, err = form.Confirm(h.t.Context(), begun.Secret, card)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// paysByCard books, and has the amount held by the one card that is kept.
func (h *served) paysByCard() {
	h.t.Helper()
	var cards struct {
		Items []struct{ Last4 string }
	}
	h.read(h.ask("GET", "/api/payments/methods", nil, http.StatusOK), &cards)
	if len(cards.Items) != 1 || cards.Items[0].Last4 != "4242" {
		h.t.Fatalf("cards are %+v", cards.Items)
	}
	var booking struct{ ID string }
	h.read(h.ask("POST", "/api/bookings", map[string]any{
		"type": "static_protection", "tier": "essential", "minutes": 120, "pickup": map[string]any{"lat": 51.5074, "lon": -0.1278},
	}, http.StatusCreated), &booking)
	var held struct {
		Status string
		Next   any `json:"next_action"`
	}
	h.read(h.ask("POST", "/api/payments/reserve", map[string]any{"booking_id": booking.ID}, http.StatusOK), &held)
	if held.Status != "held" || held.Next != nil {
		h.t.Errorf("reserved %+v", held)
	}
	h.ask("PUT", "/api/bookings/"+booking.ID+"/cancel", map[string]any{}, http.StatusOK) // within its free minutes
}

// everybodySignsIn checks that all the logins that the demo prints open the hub, with
// the second factor where there is one.
func everybodySignsIn(t *testing.T, out *safeBuffer, api string) {
	t.Helper()
	logins := regexp.MustCompile(`(?m)^  (\S+@\S+) +(\S+) +([A-Z2-7]{16,})?$`).FindAllStringSubmatch(out.String(), -1)
	if len(logins) < 4 {
		t.Errorf("only %d logins are printed", len(logins))
	}
	for _, p := range logins {
		login := map[string]any{"email": p[1], "password": p[2]}
		if p[3] != "" {
			code, err := totp.GenerateCode(p[3], time.Now())
			if err != nil {
				t.Fatal(err)
			}
			login["otp"] = code
		}
		h := &served{t: t, api: api}
		var got struct {
			User struct {
				Email string
				Roles []fleet.Role
			}
		}
		h.read(h.ask("POST", "/api/auth/login", login, http.StatusOK), &got)
		if got.User.Email != p[1] || len(got.User.Roles) == 0 || p[3] == "" && got.User.Roles[0].NeedsSecondFactor() {
			t.Errorf("%s is signed in as %+v", p[1], got.User)
		}
	}
}
