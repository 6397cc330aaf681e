package api

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

type roleChange struct{ Approval *Approval }

func rolesBody(roles ...fleet.Role) map[string]any {
	return map[string]any{"roles": append([]fleet.Role{}, roles...), "reason": "joined the team"}
}

func reason(text string) map[string]any { return map[string]any{"reason": text} }

// each runs a test on the API over every kind of database.
func each(t *testing.T, test func(t *testing.T, h *hub)) {
	t.Helper()
	schematest.Each(t, func(t *testing.T, db *schema.DB) { test(t, newHubOn(t, db)) })
}

func (h *hub) rolesOf(id fleet.UserID) []fleet.Role {
	h.t.Helper()
	u, err := h.people.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return u.Roles
}

// The first admin is made by the bootstrap admin alone; from then on a grant
// waits for somebody else, and happens with the approval.
func TestAGrantOfARoleTakesASecondAdmin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo, rider := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleRider)
		ended := h.endedSessions()
		path := func(p *person) string { return "/api/users/" + p.id.String() + "/roles" }

		if got := as[roleChange](t, h.must(http.StatusOK, http.MethodPut, path(ada), rolesBody(fleet.RoleAdmin))); got.Approval != nil {
			t.Errorf("the first admin waits for %+v", got.Approval)
		}
		problem(t, ada.do(http.MethodGet, "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
		if !slices.Contains(ended(), ada.session) {
			t.Error("nobody was told that the session of a person with other roles is over")
		}
		ada.signIn()
		ada.must(http.StatusOK, http.MethodPut, path(bo), rolesBody(fleet.RoleAdmin)) // there is nobody else to ask
		bo.signIn()

		asked := as[roleChange](t, ada.must(http.StatusAccepted, http.MethodPut, path(rider), rolesBody(fleet.RoleRider, fleet.RoleDispatcher))).Approval
		if asked == nil || asked.AskedBy != ada.id || asked.Subject != rider.id.String() || asked.Outcome != "" {
			t.Fatalf("asked for %+v", asked)
		}
		if got := h.rolesOf(rider.id); !slices.Equal(got, []fleet.Role{fleet.RoleRider}) {
			t.Errorf("before the approval: %v", got)
		}
		approve := "/api/approvals/" + asked.ID.String() + "/approve"
		problem(t, ada.do(http.MethodPost, approve, nil), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, h.do(http.MethodPost, approve, nil), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, rider.do(http.MethodPost, approve, nil), http.StatusForbidden, fleet.CodeForbidden)
		compliance := h.person(fleet.RoleCompliance)
		problem(t, compliance.do(http.MethodPost, approve, nil), http.StatusNotFound, fleet.CodeNotFound)

		waiting := as[page[Approval]](t, bo.must(http.StatusOK, http.MethodGet, "/api/approvals?waiting=true", nil))
		if len(waiting.Items) != 1 || waiting.Items[0].ID != asked.ID {
			t.Errorf("the other admin sees %+v", waiting)
		}
		if n := len(as[page[Approval]](t, compliance.must(http.StatusOK, http.MethodGet, "/api/approvals", nil)).Items); n != 0 {
			t.Errorf("compliance sees %d approvals of roles", n)
		}
		bo.must(http.StatusOK, http.MethodPost, approve, nil)
		if got := h.rolesOf(rider.id); !slices.Contains(got, fleet.RoleDispatcher) {
			t.Errorf("after the approval: %v", got)
		}
		problem(t, rider.do(http.MethodGet, "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
		problem(t, bo.do(http.MethodPost, approve, nil), http.StatusConflict, fleet.CodeConflict)
		if n := len(as[page[Approval]](t, bo.must(http.StatusOK, http.MethodGet, "/api/approvals?waiting=true", nil)).Items); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestAnApprovalOfWhatHasChangedOrExpiredIsAConflict(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo, cy := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
		path := "/api/users/" + cy.id.String() + "/roles"
		ask := func(roles ...fleet.Role) string {
			a := as[roleChange](t, ada.must(http.StatusAccepted, http.MethodPut, path, rolesBody(roles...))).Approval
			return "/api/approvals/" + a.ID.String()
		}
		first, second, third := ask(fleet.RoleFinance), ask(fleet.RoleAdmin), ask(fleet.RoleDispatcher)
		bo.must(http.StatusOK, http.MethodPost, third+"/reject", nil)
		problem(t, bo.do(http.MethodPost, third+"/approve", nil), http.StatusConflict, fleet.CodeConflict)
		bo.must(http.StatusOK, http.MethodPost, first+"/approve", nil)
		problem(t, bo.do(http.MethodPost, second+"/approve", nil), http.StatusConflict, fleet.CodeConflict)
		if got := h.rolesOf(cy.id); !slices.Equal(got, []fleet.Role{fleet.RoleFinance}) {
			t.Errorf("roles %v", got)
		}
		late := ask(fleet.RoleRider)
		h.clock.Advance(account.ApprovalWait)
		bo.signIn()
		problem(t, bo.do(http.MethodPost, late+"/approve", nil), http.StatusConflict, fleet.CodeConflict)
	})
}

// Who asked for a change of roles is one of two admins who want it: what somebody asked
// for who is none any more, or is suspended, takes two others.
func TestWhatAnAdminAskedForGoesWithTheirRole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo, cy, rider := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
		ask := func(by, of *person, role fleet.Role) string {
			a := as[roleChange](t, by.must(http.StatusAccepted, http.MethodPut, "/api/users/"+of.id.String()+"/roles", rolesBody(role))).Approval
			return "/api/approvals/" + a.ID.String() + "/approve"
		}
		wanted := ask(ada, rider, fleet.RoleAdmin)
		bo.must(http.StatusNoContent, http.MethodPost, "/api/users/"+ada.id.String()+"/suspend", reason("left"))
		problem(t, bo.do(http.MethodPost, wanted, nil), http.StatusConflict, fleet.CodeConflict)
		bo.must(http.StatusNoContent, http.MethodPost, "/api/users/"+ada.id.String()+"/reinstate", reason("back"))
		cy.must(http.StatusOK, http.MethodPost, ask(bo, ada, fleet.RoleRider), nil)
		problem(t, bo.do(http.MethodPost, wanted, nil), http.StatusConflict, fleet.CodeConflict)
		if got := h.rolesOf(rider.id); !slices.Equal(got, []fleet.Role{fleet.RoleRider}) {
			t.Errorf("roles %v", got)
		}
		cy.must(http.StatusOK, http.MethodPost, ask(bo, rider, fleet.RoleAdmin), nil)
	})
}

// Two approvals at once, each of which takes an admin away, leave one.
func TestSomebodyStaysAdmin(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin)
	ask := func(by, of *person) string {
		a := as[roleChange](t, by.must(http.StatusAccepted, http.MethodPut, "/api/users/"+of.id.String()+"/roles", rolesBody(fleet.RoleRider))).Approval
		return "/api/approvals/" + a.ID.String() + "/approve"
	}
	byAda, byBo := ask(ada, bo), ask(bo, ada)
	var both sync.WaitGroup
	both.Go(func() { ada.do(http.MethodPost, byBo, nil) })
	both.Go(func() { bo.do(http.MethodPost, byAda, nil) })
	both.Wait()
	admins := 0
	for _, p := range []*person{ada, bo} {
		if slices.Contains(h.rolesOf(p.id), fleet.RoleAdmin) {
			admins++
		}
	}
	if admins != 1 {
		t.Errorf("%d admins are left", admins)
	}
	h.must(http.StatusAccepted, http.MethodPut, "/api/users/"+ada.id.String()+"/roles", rolesBody()) // even the bootstrap admin asks
}

// Of several who decide at once, one is the second person.
func TestAnApprovalIsDecidedOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, cy := h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
	others := []*person{h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin)}
	asked := as[roleChange](t, ada.must(http.StatusAccepted, http.MethodPut, "/api/users/"+cy.id.String()+"/roles", rolesBody(fleet.RoleFinance))).Approval
	answers := make([]answer, len(others))
	var all sync.WaitGroup
	for i, p := range others {
		verb := "/approve"
		if i%2 == 1 {
			verb = "/reject"
		}
		all.Go(func() { answers[i] = p.do(http.MethodPost, "/api/approvals/"+asked.ID.String()+verb, nil) })
	}
	all.Wait()
	won := -1
	for i, a := range answers {
		if a.StatusCode == http.StatusOK {
			if won >= 0 {
				t.Errorf("%d and %d have both decided", won, i)
			}
			won = i
		} else {
			problem(t, a, http.StatusConflict, fleet.CodeConflict)
		}
	}
	if won < 0 || slices.Contains(h.rolesOf(cy.id), fleet.RoleFinance) != (won%2 == 0) {
		t.Errorf("%d decided, and the roles are %v", won, h.rolesOf(cy.id))
	}
}

func TestTheSoleAdminDoesNotStepDown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleAdmin)
	problem(t, ada.do(http.MethodPut, "/api/users/"+ada.id.String()+"/roles", rolesBody(fleet.RoleRider)), http.StatusConflict, fleet.CodeConflict)
	problem(t, ada.do(http.MethodPost, "/api/users/"+ada.id.String()+"/suspend", reason("x")), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

// Suspending the second person is no way round them.
func TestASuspendedAdminIsStillTheSecondPerson(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo, cy := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
	ada.must(http.StatusNoContent, http.MethodPost, "/api/users/"+bo.id.String()+"/suspend", reason("lost phone"))
	problem(t, bo.do(http.MethodGet, "/api/users", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	ada.must(http.StatusAccepted, http.MethodPut, "/api/users/"+cy.id.String()+"/roles", rolesBody(fleet.RoleAdmin))
}

func TestRolesAndApprovalsNeedAFreshSignIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin)
	h.clock.Advance(account.FreshFor + time.Second)
	for _, p := range []*person{ada, bo} {
		p.renew()
	}
	problem(t, ada.do(http.MethodPut, "/api/users/"+bo.id.String()+"/roles", rolesBody()), http.StatusForbidden, fleet.CodeStaleSignIn)
	problem(t, bo.do(http.MethodPost, "/api/approvals/"+bo.id.String()+"/approve", nil), http.StatusForbidden, fleet.CodeStaleSignIn)
}

func TestSuspension(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, rider := h.person(fleet.RoleAdmin), h.person(fleet.RoleRider)
		ended := h.endedSessions()
		path := "/api/users/" + rider.id.String()
		problem(t, ada.do(http.MethodPost, path+"/reinstate", reason("x")), http.StatusConflict, fleet.CodeConflict)
		problem(t, ada.do(http.MethodPost, path+"/suspend", reason("")), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		problem(t, ada.do(http.MethodPost, "/api/users/"+rider.session.String()+"/suspend", reason("x")), http.StatusNotFound, fleet.CodeNotFound)
		ada.must(http.StatusNoContent, http.MethodPost, path+"/suspend", reason("a complaint"))
		if !slices.Equal(ended(), []fleet.UserSessionID{rider.session}) {
			t.Errorf("ended %v, want %v", ended(), rider.session)
		}
		problem(t, ada.do(http.MethodPost, path+"/suspend", reason("again")), http.StatusConflict, fleet.CodeConflict)
		problem(t, rider.do(http.MethodGet, "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
		if _, err := h.sessions.Refresh(t.Context(), rider.refresh); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
			t.Errorf("refresh while suspended: %v", err)
		}
		h.clock.Advance(time.Hour)
		ada.signIn()
		if got := as[Person](t, ada.must(http.StatusOK, http.MethodGet, path, nil)); !got.SuspendedAt.Equal(noon) {
			t.Errorf("suspended at %v", got.SuspendedAt)
		}
		ada.must(http.StatusNoContent, http.MethodPost, path+"/reinstate", reason("settled"))
		list := as[struct{ Items []Suspension }](t, ada.must(http.StatusOK, http.MethodGet, path+"/suspensions", nil)).Items
		want := Suspension{Reason: "a complaint", By: ada.id, Since: noon, EndedAt: noon.Add(time.Hour), EndedBy: ada.id, EndReason: "settled"}
		if len(list) != 1 || list[0] != want {
			t.Errorf("suspensions %+v, want %+v", list, want)
		}
		rider.signIn()
		rider.must(http.StatusOK, http.MethodGet, "/api/users/me", nil)
	})
}

func TestStaffFindPeople(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		finance := h.person(fleet.RoleFinance)
		riders := []*person{h.person(fleet.RoleRider), h.person(fleet.RoleRider, fleet.RoleDriver)}
		find := func(query string) (ids []fleet.UserID) {
			for _, p := range as[page[Person]](t, finance.must(http.StatusOK, http.MethodGet, "/api/users"+query, nil)).Items {
				ids = append(ids, p.ID)
			}
			return ids
		}
		if got := find("?email=" + riders[1].id.String()[:36]); !slices.Equal(got, []fleet.UserID{riders[1].id}) {
			t.Errorf("by e-mail: %v", got)
		}
		if got := find("?role=driver"); !slices.Equal(got, []fleet.UserID{riders[1].id}) {
			t.Errorf("drivers: %v", got)
		}
		if got := find("?email=%25"); got != nil {
			t.Errorf("a pattern finds %v", got)
		}
		first := as[page[Person]](t, finance.must(http.StatusOK, http.MethodGet, "/api/users?limit=2", nil))
		if len(first.Items) != 2 || first.Next == "" {
			t.Fatalf("first page %+v", first)
		}
		if got := find("?limit=2&cursor=" + first.Next); !slices.Equal(got, []fleet.UserID{riders[1].id}) {
			t.Errorf("second page %v", got)
		}
		problem(t, riders[0].do(http.MethodGet, "/api/users", nil), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, riders[0].do(http.MethodGet, "/api/users/"+riders[0].id.String(), nil), http.StatusForbidden, fleet.CodeForbidden)
	})
}

// A principal who is restricted is seen by named staff alone, admins included.
func TestRestrictedPeopleAreSeenByNamedStaffAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, finance, rider := h.person(fleet.RoleAdmin), h.person(fleet.RoleFinance), h.person(fleet.RoleRider)
		path := "/api/users/" + rider.id.String()
		seenBy := func(p *person) bool {
			listed := as[page[Person]](t, p.must(http.StatusOK, http.MethodGet, "/api/users?role=rider", nil)).Items
			got := p.do(http.MethodGet, path, nil).StatusCode == http.StatusOK
			if got != (len(listed) == 1) {
				t.Errorf("got alone: %v, in the list: %+v", got, listed)
			}
			return got
		}
		phone := "/api/devices/" + as[struct {
			ID string `json:"device_id"`
		}](t, rider.must(http.StatusOK, http.MethodPost, "/api/devices/enrol", map[string]any{"name": "p", "platform": "android", "app_version": "1"})).ID
		h.clock.Advance(time.Minute)
		ada.must(http.StatusOK, http.MethodGet, phone+"/points", nil)
		ada.must(http.StatusNoContent, http.MethodPut, path+"/restricted", map[string]any{"restricted": true})
		problem(t, ada.do(http.MethodGet, phone+"/points", nil), http.StatusNotFound, fleet.CodeNotFound)
		if seenBy(ada) || seenBy(finance) {
			t.Error("staff who were not named see a restricted person")
		}
		problem(t, h.do(http.MethodGet, path, nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, ada.do(http.MethodPut, path+"/viewers/"+ada.id.String(), nil), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, ada.do(http.MethodPut, path+"/viewers/"+rider.id.String(), nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		problem(t, finance.do(http.MethodPut, path+"/viewers/"+ada.id.String(), nil), http.StatusForbidden, fleet.CodeForbidden)
		for range 2 {
			ada.must(http.StatusNoContent, http.MethodPut, path+"/viewers/"+finance.id.String(), nil)
		}
		if !seenBy(finance) || seenBy(ada) {
			t.Error("the one who was named, and nobody else, sees a restricted person")
		}
		viewers := as[struct{ Items []fleet.UserID }](t, ada.must(http.StatusOK, http.MethodGet, path+"/viewers", nil)).Items
		if !slices.Equal(viewers, []fleet.UserID{finance.id}) {
			t.Errorf("viewers %v", viewers)
		}
		ada.must(http.StatusNoContent, http.MethodDelete, path+"/viewers/"+finance.id.String(), nil)
		problem(t, ada.do(http.MethodDelete, path+"/viewers/"+finance.id.String(), nil), http.StatusNotFound, fleet.CodeNotFound)
		if seenBy(finance) {
			t.Error("no longer named, and still seeing")
		}
		// Nor does anybody lift it who is not named: it would be as good as naming oneself.
		lifted, bea := map[string]any{"restricted": false}, h.person(fleet.RoleAdmin)
		problem(t, ada.do(http.MethodPut, path+"/restricted", lifted), http.StatusForbidden, fleet.CodeForbidden)
		problem(t, h.do(http.MethodPut, path+"/restricted", lifted), http.StatusForbidden, fleet.CodeForbidden)
		if seenBy(ada) {
			t.Error("who is not named has lifted it")
		}
		ada.must(http.StatusNoContent, http.MethodPut, path+"/viewers/"+bea.id.String(), nil)
		bea.must(http.StatusNoContent, http.MethodPut, path+"/restricted", lifted)
		if !seenBy(finance) {
			t.Error("not restricted, and not seen")
		}
	})
}

func TestPermitsTakeASecondPersonAndExpire(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		cy := h.person(fleet.RoleCompliance)
		caller := func(p *person) *account.Caller {
			c, err := h.sessions.Verify(t.Context(), p.token)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		permit := func(p *person) fleet.Code {
			if err := h.cfg.Approvals.Permit(t.Context(), caller(p), fleet.ApproveAuditLog); err != nil {
				return fleet.CodeOf(err)
			}
			return ""
		}
		if got := permit(cy); got != "" {
			t.Errorf("there is nobody to ask: %s", got)
		}
		ada := h.person(fleet.RoleAdmin)
		if got := permit(cy); got != fleet.CodeApprovalNeeded {
			t.Errorf("before: %s", got)
		}
		problem(t, cy.do(http.MethodPost, "/api/approvals", map[string]any{"kind": "roles", "reason": "x"}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		asked := as[Approval](t, cy.must(http.StatusCreated, http.MethodPost, "/api/approvals", map[string]any{"kind": "audit_log", "reason": "a request by the principal"}))
		approve := "/api/approvals/" + asked.ID.String() + "/approve"
		problem(t, cy.do(http.MethodPost, approve, nil), http.StatusForbidden, fleet.CodeForbidden)
		ada.must(http.StatusOK, http.MethodPost, approve, nil)
		if got := permit(cy); got != "" {
			t.Errorf("approved: %s", got)
		}
		if got := permit(ada); got != fleet.CodeApprovalNeeded {
			t.Errorf("somebody else's approval: %s", got)
		}
		h.clock.Advance(account.PermitLife)
		cy.signIn()
		if got := permit(cy); got != fleet.CodeApprovalNeeded {
			t.Errorf("expired: %s", got)
		}
	})
}

// The admin token opens the door of a hub without an admin, and no other.
func TestTheBootstrapEndsWithTheFirstAdmin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		cfg := h.cfg
		cfg.AllowBootstrap = false
		strict, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := strict.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		knock := func() answer {
			r := h.request(http.MethodGet, "/api/devices", nil)
			r.URL.Host = strict.Addr().String()
			return h.send(r)
		}
		if a := knock(); a.StatusCode != http.StatusOK {
			t.Errorf("no admin: %s", a.Status)
		}
		h.person(fleet.RoleDispatcher)
		if a := knock(); a.StatusCode != http.StatusOK {
			t.Errorf("a dispatcher: %s", a.Status)
		}
		h.person(fleet.RoleAdmin)
		for range 2 {
			problem(t, knock(), http.StatusUnauthorized, fleet.CodeUnauthenticated)
		}
		h.must(http.StatusOK, http.MethodGet, "/api/devices", nil) // where it is allowed
	})
}

// endedSessions remembers which sessions the bus says are over.
func (h *hub) endedSessions() func() []fleet.UserSessionID {
	var mu sync.Mutex
	var ended []fleet.UserSessionID
	h.t.Cleanup(h.bus.Sessions.Subscribe(func(id fleet.UserSessionID) {
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, id)
	}))
	return func() []fleet.UserSessionID {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ended)
	}
}

// signIn signs the person in once more, with a second factor.
func (p *person) signIn() {
	p.h.t.Helper()
	tokens, err := p.h.sessions.Begin(p.h.t.Context(), account.SignIn{User: p.id, Method: fleet.ByPassword, SecondFactor: true})
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.session, p.token, p.refresh = tokens.Session.ID, tokens.Access, tokens.Refresh
}
