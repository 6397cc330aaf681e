package api

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/schema/schematest"
)

// submit hands in a document and returns its id.
func (h *hub) submit(path string, body map[string]any) fleet.DocumentID {
	h.t.Helper()
	return as[Document](h.t, h.must(http.StatusCreated, "POST", path, body)).ID
}

// verify hands in a document that is verified at once, and counts for a year.
func (h *hub) verify(path, kind string) fleet.DocumentID {
	h.t.Helper()
	body := map[string]any{"kind": kind, "expires_at": h.clock.Now().Add(365 * 24 * time.Hour)}
	if kind == string(fleet.SIALicence) {
		body["number"], body["category"] = "1234567890123456", fleet.CloseProtection
	}
	id := h.submit(path, body)
	h.decide(id, fleet.Verified)
	return id
}

func (h *hub) decide(id fleet.DocumentID, status fleet.DocumentStatus) Document {
	h.t.Helper()
	a := h.must(http.StatusOK, "PUT", "/api/documents/"+id.String()+"/status", map[string]any{"status": status, "reason": "as the register says"})
	return as[Document](h.t, a)
}

// officer makes a driver who is fit to work.
func (h *hub) officer(body map[string]any) fleet.DriverID {
	h.t.Helper()
	id := as[Driver](h.t, h.must(http.StatusCreated, "POST", "/api/drivers", body)).ID
	for _, kind := range []string{"sia_licence", "background_check", "right_to_work"} {
		h.verify("/api/drivers/"+id.String()+"/documents", kind)
	}
	return id
}

// car makes a vehicle that is fit to be driven.
func (h *hub) car(registration string) fleet.VehicleID {
	h.t.Helper()
	id := as[Vehicle](h.t, h.must(http.StatusCreated, "POST", "/api/vehicles", map[string]any{"registration": registration})).ID
	for _, kind := range []string{"insurance", "mot"} {
		h.verify("/api/vehicles/"+id.String()+"/documents", kind)
	}
	return id
}

type fitness struct {
	Fit     bool
	Reasons []Reason
}

func (h *hub) fitness(driver fleet.DriverID) fitness {
	h.t.Helper()
	return as[fitness](h.t, h.must(http.StatusOK, "GET", "/api/drivers/"+driver.String()+"/fitness", nil))
}

// matchable reports whether a search for a tier finds the officer.
func (h *hub) matchable(driver fleet.DriverID, tier fleet.Tier) bool {
	h.t.Helper()
	a := h.must(http.StatusOK, "GET", "/api/drivers/nearby?lat=51.5&lon=-0.12&max_age=86400&tier="+string(tier), nil)
	return slices.ContainsFunc(as[struct{ Items []NearbyDriver }](h.t, a).Items, func(d NearbyDriver) bool { return d.ID == driver })
}

func (h *hub) place(driver fleet.DriverID) {
	at := fleet.MillisOf(h.clock.Now())
	h.cfg.Map.(*live.Index).Apply(live.Fix{
		Unit: fleet.Unit(driver), Source: fleet.NewID[fleet.Device](), At: at, Received: at, Lat: 51.5, Lon: -0.12,
	})
}

func TestWhoIsUnfitIsNotMatched(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		id := as[Driver](t, h.must(201, "POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "executive"})).ID
		h.place(id)
		documents := "/api/drivers/" + id.String() + "/documents"
		expect := func(fit bool, what string, flaws ...fleet.Defect) {
			t.Helper()
			f := h.fitness(id)
			var got []fleet.Defect
			for _, r := range f.Reasons {
				got = append(got, r.Flaw)
			}
			if f.Fit != fit || !slices.Equal(got, flaws) || h.matchable(id, fleet.Executive) != fit {
				t.Fatalf("%s: fit %v for %v, matched %v", what, f.Fit, got, h.matchable(id, fleet.Executive))
			}
		}
		expect(false, "without papers", fleet.DefectMissing, fleet.DefectMissing, fleet.DefectMissing)
		licence := h.verify(documents, "sia_licence")
		h.verify(documents, "background_check")
		right := h.submit(documents, map[string]any{"kind": "right_to_work"})
		expect(false, "with one that nobody has looked at", fleet.DefectUnverified)
		h.decide(right, fleet.Verified)
		expect(true, "with all")

		h.decide(licence, fleet.Suspended)
		expect(false, "suspended", fleet.Defect(fleet.Suspended))
		h.decide(licence, fleet.Verified)
		expect(true, "reinstated")

		car := as[Vehicle](t, h.must(201, "POST", "/api/vehicles", map[string]any{"registration": "AB12 CDE"})).ID
		h.must(204, "PUT", "/api/vehicles/"+car.String()+"/driver", map[string]any{"driver_id": id})
		expect(false, "in a car without papers", fleet.DefectMissing, fleet.DefectMissing)
		h.verify("/api/vehicles/"+car.String()+"/documents", "mot")
		insurance := h.verify("/api/vehicles/"+car.String()+"/documents", "insurance")
		expect(true, "in a car that is in order")
		h.decide(insurance, fleet.Revoked)
		expect(false, "in a car without insurance", fleet.Defect(fleet.Revoked))
		h.must(204, "PUT", "/api/vehicles/"+car.String()+"/driver", map[string]any{})
		expect(true, "out of the car")

		h.clock.Advance(365*24*time.Hour - time.Millisecond)
		h.place(id)
		if err := h.officers.TellAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(true, "on the last day")
		h.clock.Advance(time.Millisecond)
		if err := h.officers.TellAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(false, "when all has run out", fleet.DefectExpired, fleet.DefectExpired, fleet.DefectUnverified)
	})
}

// Officers drops who becomes unfit as time passes, without being asked.
func TestExpiryIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.officer(map[string]any{"name": "Ada", "tier": "executive"})
	told := make(chan bus.Standing, 8)
	h.bus.Standings.Subscribe(func(s bus.Standing) { told <- s })
	done := make(chan struct{})
	before := h.clock.Waiting()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		h.officers.Run(ctx)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h.clock.Waiting() == before {
		<-tick.C
	}
	h.clock.Advance(366 * 24 * time.Hour)
	if s := <-told; s.Driver != id || s.Tiers != nil {
		t.Errorf("told %+v", s)
	}
	cancel()
	<-done
}

func TestADriverDecidesNothingOfTheirFitness(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, other := h.person(fleet.RoleDriver), h.person(fleet.RoleDriver)
	rider := h.person(fleet.RoleRider)
	problem(t, h.do("POST", "/api/drivers", map[string]any{"name": "R", "tier": "shadow", "user_id": rider.id}), 422, fleet.CodeInvalid)
	id := as[Driver](t, h.must(201, "POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "shadow", "user_id": ada.id})).ID
	problem(t, h.do("POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "shadow", "user_id": ada.id}), 409, fleet.CodeConflict)
	problem(t, other.do("GET", "/api/drivers/me", nil), 404, fleet.CodeNotFound)

	me := as[DriverProfile](t, ada.must(200, "PUT", "/api/drivers/me", map[string]any{"languages": []string{"en", "fr-CA"}, "gender": "female", "bio": "Calm."}))
	if me.ID != id || me.Bio != "Calm." || !slices.Equal(me.Languages, []string{"en", "fr-CA"}) || me.Gender != fleet.GenderFemale {
		t.Errorf("profile %+v", me)
	}
	problem(t, ada.do("PUT", "/api/drivers/me", map[string]any{"languages": []string{"klingon!"}}), 422, fleet.CodeInvalid)
	for _, field := range []string{"tier", "tiers", "name", "user_id", "coverage", "status"} {
		problem(t, ada.do("PUT", "/api/drivers/me", map[string]any{field: "executive"}), 422, fleet.CodeInvalid)
	}
	document := as[Document](t, ada.must(201, "POST", "/api/drivers/me/documents",
		map[string]any{"kind": "sia_licence", "number": "1234567890123456", "category": "close_protection", "expires_at": "2028-01-01T00:00:00Z"}))
	if document.Status != fleet.Submitted || document.DriverID != id || document.Counts {
		t.Errorf("document %+v", document)
	}
	for name, body := range map[string]map[string]any{
		"a status":      {"kind": "right_to_work", "status": "verified"},
		"a verifier":    {"kind": "right_to_work", "verified_at": "2026-01-01T00:00:00Z"},
		"15 digits":     {"kind": "sia_licence", "number": "123456789012345", "category": "close_protection", "expires_at": "2028-01-01T00:00:00Z"},
		"no expiry":     {"kind": "sia_licence", "number": "1234567890123456", "category": "close_protection"},
		"no category":   {"kind": "sia_licence", "number": "1234567890123456", "expires_at": "2028-01-01T00:00:00Z"},
		"a car's":       {"kind": "mot", "expires_at": "2028-01-01T00:00:00Z"},
		"before issued": {"kind": "right_to_work", "issued_at": "2028-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z"},
	} {
		if a := ada.do("POST", "/api/drivers/me/documents", body); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
	status := "/api/documents/" + document.ID.String() + "/status"
	for _, p := range []*person{ada, other, rider, h.person(fleet.RoleDispatcher), h.person(fleet.RoleFinance)} {
		problem(t, p.do("PUT", status, map[string]any{"status": "verified"}), 403, fleet.CodeForbidden)
	}
	// Who is an officer and vets officers does not vet themselves.
	both := h.person(fleet.RoleDriver, fleet.RoleCompliance)
	bo := as[Driver](t, h.must(201, "POST", "/api/drivers", map[string]any{"name": "Bo", "tier": "shadow", "user_id": both.id})).ID
	own := as[Document](t, both.must(201, "POST", "/api/drivers/me/documents", map[string]any{"kind": "right_to_work"}))
	problem(t, both.do("PUT", "/api/documents/"+own.ID.String()+"/status", map[string]any{"status": "verified"}), 403, fleet.CodeForbidden)
	for of, said := range map[fleet.DriverID]map[string]any{
		bo: {"name": "Bo", "tier": "executive"}, // nor cease to be who they are, to do it
		id: {"name": "Ada", "tier": "shadow", "user_id": both.id},
	} {
		problem(t, both.do("PUT", "/api/drivers/"+of.String(), said), 403, fleet.CodeForbidden)
	}
	verified := as[Document](t, both.must(200, "PUT", status, map[string]any{"status": "verified"}))
	if !verified.Counts || verified.VerifiedBy != both.id.String() || !verified.ReverifyAt.After(noon) {
		t.Errorf("verified %+v", verified)
	}
	problem(t, both.do("PUT", status, map[string]any{"status": "suspended"}), 422, fleet.CodeInvalid) // without a reason
	problem(t, both.do("PUT", status, map[string]any{"status": "rejected", "reason": "x"}), 409, fleet.CodeConflict)
	both.must(200, "PUT", status, map[string]any{"status": "revoked", "reason": "x"})
	problem(t, both.do("PUT", status, map[string]any{"status": "verified"}), 409, fleet.CodeConflict)
	problem(t, both.do("PUT", "/api/documents/"+fleet.NewID[fleet.Document]().String()+"/status", map[string]any{"status": "verified"}), 404, fleet.CodeNotFound)

	if got := as[struct{ Items []Document }](t, ada.must(200, "GET", "/api/drivers/me/documents", nil)).Items; len(got) != 1 || got[0].Status != fleet.Revoked {
		t.Errorf("own documents %+v", got)
	}
	waiting := walk(h, "/api/documents", func(d Document) string { return d.ID.String() })
	if !slices.Equal(waiting, []string{own.ID.String()}) {
		t.Errorf("waiting: %v", waiting)
	}
	// Duty is one's own, and ops'.
	duty := "/api/drivers/" + id.String() + "/duty"
	ada.must(204, "PUT", duty, map[string]any{"duty": "on_duty"})
	h.must(204, "PUT", duty, map[string]any{"duty": "off_duty"})
	problem(t, both.do("PUT", duty, map[string]any{"duty": "on_duty"}), 404, fleet.CodeNotFound)
	problem(t, other.do("PUT", duty, map[string]any{"duty": "on_duty"}), 404, fleet.CodeNotFound)
	problem(t, rider.do("PUT", duty, map[string]any{"duty": "on_duty"}), 403, fleet.CodeForbidden)
}

func TestStaffSetWhatAnOfficerIsOfferedFor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.officer(map[string]any{"name": "Ada", "tier": "executive"})
	h.place(id)
	path := "/api/drivers/" + id.String()
	p := as[DriverProfile](t, h.must(200, "PUT", path, `{"name":"Ada V","tier":"shadow","tiers":["essential"],"coverage":[`+embassy+`]}`))
	if p.Name != "Ada V" || len(p.Coverage) != 1 || !slices.Equal(p.Tiers, []fleet.Tier{fleet.Essential}) {
		t.Errorf("profile %+v", p)
	}
	for tier, want := range map[fleet.Tier]bool{fleet.Shadow: true, fleet.Essential: true, fleet.Executive: false} {
		if h.matchable(id, tier) != want {
			t.Errorf("matched as %s: %v", tier, !want)
		}
	}
	problem(t, h.do("PUT", path, `{"name":"A","tier":"shadow","coverage":[{"type":"Point"}]}`), 422, "fence_shape_type_unknown")
	problem(t, h.do("PUT", "/api/drivers/"+fleet.NewID[fleet.Driver]().String(), `{"name":"A","tier":"shadow"}`), 404, fleet.CodeNotFound)
	problem(t, h.do("GET", "/api/drivers/"+fleet.NewID[fleet.Driver]().String()+"/fitness", nil), 404, fleet.CodeNotFound)
}
