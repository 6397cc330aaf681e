package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

func (p *person) sos(body any) SOS {
	p.h.t.Helper()
	return as[SOS](p.h.t, p.must(http.StatusCreated, "POST", "/api/sos", body))
}

func TestAnSOSNeedsNothingButWhoYouAre(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve, ops := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleDispatcher)
	first := ada.sos(nil)
	if first.Status != fleet.SOSIsRaised || first.Type != fleet.SOSOther || first.Ref == "" {
		t.Errorf("raised with no body: %+v", first)
	}
	press := fleet.NewID[fleet.SOSCall]()
	if again := ada.sos(map[string]any{"id": press, "type": "threat", "lat": 51.5, "lon": -0.1}); again.ID != first.ID || again.Type != fleet.SOSThreat {
		t.Errorf("pressed again: %+v", again)
	}
	if other := eve.sos(map[string]any{"id": press}); other.ID == first.ID {
		t.Error("another's press joins")
	}
	for _, path := range []string{"/api/sos/" + first.ID.String()} {
		problem(t, eve.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, ops.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, eve.do("GET", path+"/timeline", nil), http.StatusForbidden, fleet.CodeForbidden)
	}
	if got := as[SOS](t, eve.must(http.StatusOK, "POST", "/api/sos/cancel", map[string]any{"sos_id": first.ID})); !got.ID.IsZero() {
		t.Errorf("eve cancels %+v", got)
	}

	list := as[page[OpsSOS]](t, ops.must(http.StatusOK, "GET", "/api/sos", nil))
	if len(list.Items) != 2 || list.Items[1].ID != first.ID || list.Items[1].Place == nil || list.Items[1].UserID != ada.id {
		t.Fatalf("ops see %+v", list.Items)
	}
	path := "/api/sos/" + first.ID.String()
	h.until("the alert", func() bool {
		return len(as[page[Alert]](t, ops.must(http.StatusOK, "GET", "/api/alerts", nil)).Items) == 2
	})
	for does, body := range map[string]any{"acknowledge": nil, "close": map[string]any{"note": "seen"}} { // it ends with the SOS, and not without it
		problem(t, ops.do("POST", "/api/alerts/"+first.ID.String()+"/"+does, body), http.StatusConflict, fleet.CodeConflict)
	}
	problem(t, h.do("POST", path+"/acknowledge", nil), http.StatusForbidden, fleet.CodeForbidden) // nobody in particular
	ops.must(http.StatusOK, "POST", path+"/acknowledge", nil)
	if got := as[SOS](t, ada.must(http.StatusOK, "GET", path, nil)); got.Status != fleet.SOSIsAcknowledged || got.AcknowledgedBy != "Test Person" {
		t.Errorf("ada sees %+v", got)
	}
	problem(t, ops.do("POST", path+"/close", map[string]any{"outcome": "resolved", "note": ""}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	ops.must(http.StatusOK, "POST", path+"/close", map[string]any{"outcome": "resolved", "note": "She is safe."})
	problem(t, ops.do("POST", path+"/close", map[string]any{"outcome": "resolved", "note": "Twice."}), http.StatusConflict, fleet.CodeConflict)
	if got := ada.sos(map[string]any{"id": press}); got.ID != first.ID || got.Status != fleet.SOSIsClosed {
		t.Errorf("the press, once more: %+v", got)
	}
	whole := as[SOSTimeline](t, ops.must(http.StatusOK, "GET", path+"/timeline", nil))
	if len(whole.Entries) < 4 || whole.Entries[0].Kind != fleet.SOSRaised || whole.Outcome != fleet.SOSResolved {
		t.Errorf("the timeline: %+v", whole)
	}
}

// Nobody is refused help for a word that the hub does not know.
func TestAnSOSOfAnUnknownTypeIsRaised(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if got := h.person(fleet.RoleRider).sos(map[string]any{"type": "dragon"}); got.Type != fleet.SOSOther {
		t.Errorf("it is %q", got.Type)
	}
}

// What is shown of a cancel is the same whether the code was the duress code or not,
// in time, late, and when nothing was raised.
func TestACancelUnderDuressLooksLikeACancel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ops := h.person(fleet.RoleDispatcher)
	for name, late := range map[string]time.Duration{"in time": time.Second, "late": time.Minute, "never raised": -1} {
		var shown []string
		for _, code := range []string{"1234", "9911"} {
			ada := h.person(fleet.RoleRider)
			ada.must(http.StatusNoContent, "PUT", "/api/users/duress-code", map[string]any{"code": "9911"})
			path := "/api/sos/none"
			if late >= 0 {
				raised := ada.sos(nil)
				path = "/api/sos/" + raised.ID.String()
				h.clock.Advance(late)
			}
			a := ada.must(http.StatusOK, "POST", "/api/sos/cancel", map[string]any{"code": code})
			got := as[map[string]any](t, a)
			if late >= 0 {
				read := as[map[string]any](t, ada.must(http.StatusOK, "GET", path, nil))
				for key, value := range read {
					if got[key] != value {
						t.Errorf("%s: %s is %v, and read %v", name, key, got[key], value)
					}
				}
			}
			keys := ""
			for _, key := range []string{"id", "ref", "raised_at", "ended_at"} {
				if _, ok := got[key]; ok {
					keys += " " + key
				}
			}
			shown = append(shown, strings.Join([]string{keys, got["status"].(string)}, ": "))
			open := as[page[OpsSOS]](t, ops.must(http.StatusOK, "GET", "/api/sos", nil)).Items
			if duress := len(open) > 0 && open[0].UserID == ada.id && open[0].Duress; duress != (code == "9911") {
				t.Errorf("%s with %s: ops see %+v", name, code, open)
			}
		}
		if shown[0] != shown[1] {
			t.Errorf("%s: they can be told apart: %q", name, shown)
		}
	}
}

func TestTheRotaCallsWhoCanAcknowledge(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ops, finance := h.person(fleet.RoleDispatcher), h.person(fleet.RoleFinance)
	step := func(p *person, channel string) map[string]any {
		return map[string]any{"user_id": p.id, "channel": channel}
	}
	put := func(steps ...any) answer {
		return h.do("PUT", "/api/sos/rota", map[string]any{"steps": append([]any{}, steps...)})
	}
	if a := put(step(ops, "console"), step(ops, "voice")); a.StatusCode != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	problem(t, put(step(finance, "sms")), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	backwards := step(ops, "sms")
	backwards["since"], backwards["until"] = noon, noon.Add(-time.Hour)
	problem(t, put(backwards), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	rota := as[rotaBody](t, ops.must(http.StatusOK, "GET", "/api/sos/rota", nil))
	if len(rota.Steps) != 2 || rota.Steps[1].Channel != fleet.VoiceChannel || rota.Steps[1].UserID != ops.id {
		t.Errorf("%+v", rota)
	}
	if err := h.cfg.Safety.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	put()
	if err := h.cfg.Safety.Ready(t.Context()); err == nil {
		t.Error("nobody is on call, and nothing is said")
	}
}

// Whoever calls for help is known by a token that ran out while their app could get no
// other; nothing else opens to it, and none whose session is over.
func TestATokenThatHasExpiredCallsForHelp(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	h.clock.Advance(account.AccessLife + time.Hour)
	problem(t, ada.do("GET", "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	raised := ada.sos(nil)
	ada.must(http.StatusOK, "GET", "/api/sos/"+raised.ID.String(), nil)
	problem(t, ada.do("GET", "/api/sos", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	h.clock.Advance(account.LateFor)
	problem(t, ada.do("POST", "/api/sos", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	eve := h.person(fleet.RoleRider)
	if err := h.sessions.End(t.Context(), eve.id, eve.session, fleet.EndedByLogout); err != nil {
		t.Fatal(err)
	}
	problem(t, eve.do("POST", "/api/sos", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
}

// An officer without a second factor is no officer to the hub, and is helped all the
// same.
func TestWhoHasNoRoleIsHelped(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	bo := h.person(fleet.RoleDriver)
	if _, err := h.db.Pool().Exec(t.Context(), `UPDATE user_sessions SET second_factor = false WHERE user_id = $1`, bo.id); err != nil {
		t.Fatal(err)
	}
	bo.sos(map[string]any{"type": "medical"})
	if open, err := (schema.SOSes{DB: h.db}).Open(t.Context()); err != nil || len(open) > 1 {
		t.Errorf("%v, %v", open, err)
	}
}
