package api

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// audit returns the log, the newest first.
func (h *hub) audit() []schema.AuditListed {
	h.t.Helper()
	entries, err := schema.Audit{DB: h.db}.List(h.t.Context(), fleet.UserID{}, schema.AuditQuery{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return entries
}

// phoneOf is a phone with a track, bound to an officer who is the person.
func (h *hub) phoneOf(p *person) string {
	h.t.Helper()
	driver := h.officer(map[string]any{"name": "Ada Vale", "tier": "executive", "user_id": p.id})
	device := h.device(nil).ID
	h.must(http.StatusNoContent, http.MethodPut, "/api/devices/"+device+"/binding", map[string]any{"driver_id": driver})
	h.clock.Advance(time.Minute)
	h.track(device, 3)
	return device
}

func TestWhoIsShownAPersonsLocationIsInTheLog(t *testing.T) {
	t.Parallel()
	index := live.New(live.Options{})
	h := newHub(t, func(c *Config) { c.Map = index })
	officer, staff := h.person(fleet.RoleDriver), h.person(fleet.RoleDispatcher)
	device := h.phoneOf(officer)
	// The points are older than the binding: that they are shown up to now counts.
	for _, c := range []struct{ path, action, object string }{
		{"/api/devices/" + device + "/position", "read_location", "device/" + device},
		{"/api/devices/" + device + "/points?to=2026-03-02T00:00:00Z", "read_track", "device/" + device},
		{"/api/devices/" + device + "/points?format=csv&to=2026-03-02T00:00:00Z", "read_track", "device/" + device},
		{"/api/devices/" + device + "/points?format=gpx&store=quarantine", "read_track", "device/" + device},
	} {
		before := len(h.audit())
		a := staff.must(http.StatusOK, http.MethodGet, c.path, nil)
		log := h.audit()
		if len(log) != before+1 {
			t.Fatalf("%s: %d entries, want one", c.path, len(log)-before)
		}
		e := log[0]
		if e.Action != c.action || e.Object != c.object || e.Subject != officer.id || e.ActorUser != staff.id ||
			e.Actor != staff.id.String() || !e.At.Equal(h.clock.Now()) || e.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("%s: recorded %+v", c.path, e)
		}
	}
}

func TestASearchOfTheMapIsOneEntryAboutAllWhoAreShown(t *testing.T) {
	t.Parallel()
	index := live.New(live.Options{})
	h := newHub(t, func(c *Config) { c.Map = index })
	staff, want := h.person(fleet.RoleDispatcher), []fleet.UserID{}
	for range 2 {
		officer := h.person(fleet.RoleDriver)
		driver := h.officer(map[string]any{"name": "Ada Vale", "tier": "executive", "user_id": officer.id})
		at := fleet.MillisOf(h.clock.Now())
		index.Apply(live.Fix{Unit: fleet.Unit(driver), At: at, Received: at, Lat: 51.5, Lon: -0.12})
		want = append(want, officer.id)
	}
	before := len(h.audit())
	staff.must(http.StatusOK, http.MethodGet, "/api/drivers/nearby?lat=0&lon=0", nil)
	if log := h.audit(); len(log) != before {
		t.Errorf("a search that found nobody is recorded: %+v", log[0])
	}
	staff.must(http.StatusOK, http.MethodGet, "/api/drivers/nearby?lat=51.5&lon=-0.12", nil)
	log := h.audit()
	if len(log) != before+1 || log[0].Action != "read_location" || len(log[0].Subjects) != 2 {
		t.Fatalf("recorded %+v", log[0])
	}
	for _, id := range want {
		if !slices.Contains(log[0].Subjects, id) {
			t.Errorf("%s is not among %v", id, log[0].Subjects)
		}
	}
}

func TestWhatCannotBeRecordedIsNotShownOrDone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	staff, officer := h.person(fleet.RoleDispatcher), h.person(fleet.RoleDriver)
	device := h.phoneOf(officer)
	if _, err := h.db.Pool().Exec(t.Context(), `ALTER TABLE audit_tail RENAME TO audit_tail_gone`); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/position", "/points", "/points?format=csv"} {
		problem(t, staff.do(http.MethodGet, "/api/devices/"+device+path, nil), http.StatusServiceUnavailable, fleet.CodeUnavailable)
	}
	problem(t, h.do(http.MethodPost, "/api/devices", map[string]any{"kind": "phone", "name": "x"}), http.StatusServiceUnavailable, fleet.CodeUnavailable)
	devices, err := schema.Devices{DB: h.db}.List(t.Context(), fleet.UserID{}, fleet.DeviceID{}, 10)
	if err != nil || len(devices) != 1 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}

func TestWhatStaffAskForIsInTheLog(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	admin, rider := h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
	h.device(nil)
	if e := h.audit()[0]; e.Actor != "bootstrap" || !e.ActorUser.IsZero() || e.Action != "create_device" || e.Object != "/api/devices" {
		t.Errorf("of the bootstrap admin: %+v", e)
	}
	path := "/api/users/" + rider.id.String() + "/suspend"
	admin.must(http.StatusNoContent, http.MethodPost, path, map[string]any{"reason": "x"})
	if e := h.audit()[0]; e.ActorUser != admin.id || e.Action != "suspend_user" || e.Subject != rider.id || e.Object != path {
		t.Errorf("of an admin: %+v", e)
	}
	before := len(h.audit())
	problem(t, rider.do(http.MethodPost, path, map[string]any{"reason": "x"}), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	problem(t, h.person(fleet.RoleRider).do(http.MethodPost, path, map[string]any{"reason": "x"}), http.StatusForbidden, fleet.CodeForbidden)
	admin.must(http.StatusOK, http.MethodGet, "/api/users", nil)
	admin.must(http.StatusNoContent, http.MethodPost, "/api/auth/logout", map[string]any{})
	if n := len(h.audit()); n != before {
		t.Errorf("%d entries of what nobody but oneself has to do with, or was refused", n-before)
	}
}

func TestReadingTheLogTakesASecondPersonAndIsInTheLog(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleAdmin)
	for _, role := range []fleet.Role{fleet.RoleFinance, fleet.RoleRider, fleet.RoleDriver, fleet.RolePartner} {
		problem(t, h.person(role).do(http.MethodGet, "/api/audit", nil), http.StatusForbidden, fleet.CodeForbidden)
	}
	ada.must(http.StatusOK, http.MethodGet, "/api/audit", nil) // alone
	compliance, rider := h.person(fleet.RoleCompliance), h.person(fleet.RoleRider)
	problem(t, ada.do(http.MethodGet, "/api/audit", nil), http.StatusForbidden, fleet.CodeApprovalNeeded)
	asked := as[Approval](t, ada.must(http.StatusCreated, http.MethodPost, "/api/approvals", map[string]any{"kind": "audit_log", "reason": "a complaint"}))
	problem(t, ada.do(http.MethodGet, "/api/audit", nil), http.StatusForbidden, fleet.CodeApprovalNeeded)
	compliance.must(http.StatusOK, http.MethodPost, "/api/approvals/"+asked.ID.String()+"/approve", nil)

	ops := h.person(fleet.RoleDispatcher) // who search it too, and permit it to nobody
	problem(t, ops.do(http.MethodGet, "/api/audit", nil), http.StatusForbidden, fleet.CodeApprovalNeeded)
	asked = as[Approval](t, ops.must(http.StatusCreated, http.MethodPost, "/api/approvals", map[string]any{"kind": "audit_log", "reason": "a complaint"}))
	decision := "/api/approvals/" + asked.ID.String() + "/approve"
	problem(t, h.person(fleet.RoleDispatcher).do(http.MethodPost, decision, nil), http.StatusForbidden, fleet.CodeForbidden)
	if own := as[page[Approval]](t, ops.must(http.StatusOK, http.MethodGet, "/api/approvals", nil)).Items; len(own) != 1 || own[0].ID != asked.ID {
		t.Errorf("of approvals, ops see %+v", own)
	}
	ada.must(http.StatusOK, http.MethodPost, decision, nil)
	ops.must(http.StatusOK, http.MethodGet, "/api/audit?limit=1", nil)

	of := "/api/audit?subject=" + rider.id.String()
	if n := len(as[page[AuditEntry]](t, ada.must(http.StatusOK, http.MethodGet, of, nil)).Items); n != 1 { // of this very read
		t.Errorf("%d entries about the rider", n)
	}
	got := as[page[AuditEntry]](t, ada.must(http.StatusOK, http.MethodGet, of+"&action=read_audit&actor="+ada.id.String()+"&limit=1", nil))
	if len(got.Items) != 1 || got.Items[0].Action != "read_audit" || got.Items[0].ActorID != ada.id || got.Items[0].Sealed || got.Next == "" {
		t.Fatalf("got %+v", got)
	}
	second := as[page[AuditEntry]](t, ada.must(http.StatusOK, http.MethodGet, of+"&action=read_audit&limit=1&cursor="+got.Next, nil))
	if len(second.Items) != 1 || second.Items[0].ID == got.Items[0].ID {
		t.Errorf("the next page is %+v", second)
	}
	if err := (schema.Audit{DB: h.db}).Seal(t.Context(), h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	items := as[page[AuditEntry]](t, ada.must(http.StatusOK, http.MethodGet, of, nil)).Items
	if items[0].Sealed || !items[1].Sealed {
		t.Errorf("what was sealed is %+v", items)
	}
	problem(t, ada.do(http.MethodGet, "/api/audit?subject=me", nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	problem(t, ada.do(http.MethodGet, "/api/audit?cursor=x", nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	h.clock.Advance(account.FreshFor + time.Second)
	ada.renew()
	problem(t, ada.do(http.MethodGet, "/api/audit", nil), http.StatusForbidden, fleet.CodeStaleSignIn)
}
