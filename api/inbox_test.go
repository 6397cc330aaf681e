package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// Whoever has got into one session of a person's is seen by the others.
func TestAllSessionsOfAPersonAreTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
		tokens, err := h.sessions.Begin(t.Context(), account.SignIn{User: ada.id, Method: fleet.ByPassword})
		if err != nil {
			t.Fatal(err)
		}
		intruder := &person{h: h, id: ada.id, token: tokens.Access, session: tokens.Session.ID}
		const address = "/api/users/me/email"
		intruder.must(http.StatusAccepted, http.MethodPost, address, map[string]any{"email": "eve@example.com"})
		intruder.must(http.StatusOK, http.MethodPost, address+"/verify", codeBody(h.lastNotice().Data["code"]))
		for _, session := range []*person{ada, intruder, ada} { // reading takes nothing away
			items := as[page[InboxItem]](t, session.must(http.StatusOK, http.MethodGet, "/api/users/inbox", nil)).Items
			if len(items) != 1 || items[0].Kind != "email_changed" || !items[0].CreatedAt.Equal(noon) ||
				items[0].Title != "The address of your ARMORA account was changed" || !strings.HasPrefix(items[0].Text, "Your account") {
				t.Fatalf("told %+v", items)
			}
		}
		if items := as[page[InboxItem]](t, bo.must(http.StatusOK, http.MethodGet, "/api/users/inbox", nil)).Items; len(items) != 0 {
			t.Errorf("another person is told %+v", items)
		}
	})
}

func TestTheInboxIsReadByPages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	var want []string
	for range 5 {
		n := fleet.Notice{
			ID: fleet.NewID[fleet.Notice](), User: ada.id, Channel: fleet.InboxChannel, Kind: "password_changed",
			Sealed: []byte("of another key"), Created: noon, Expires: noon,
		}
		if err := (schema.Notices{DB: h.db}).Add(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		want = append([]string{n.ID.String()}, want...)
	}
	var got []string
	for path, cursor := "/api/users/inbox?limit=2", "x"; cursor != ""; path = "/api/users/inbox?limit=2&cursor=" + cursor {
		p := as[page[InboxItem]](t, ada.must(http.StatusOK, http.MethodGet, path, nil))
		for _, item := range p.Items {
			if item.Text != "" { // that there is something is shown all the same
				t.Errorf("opened by no key: %+v", item)
			}
			got = append(got, item.ID.String())
		}
		cursor = p.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages of %v, want %v", got, want)
	}
}

// What became of a notice by the other channels is shown to its reader, and to
// nobody else.
func TestTheInboxShowsHowElseOneWasTold(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	booking := fleet.NewID[fleet.Booking]()
	for _, p := range []*person{ada, bo} {
		tidings := fleet.Tidings{
			Kind: "safety_test", Once: "the same", Booking: booking, Expires: noon.Add(time.Hour), Channels: []fleet.Channel{fleet.InboxChannel, fleet.MailChannel},
		}
		for range 2 {
			if err := h.cfg.Notify.Tell(t.Context(), p.id, tidings); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := (schema.Notices{DB: h.db}).List(t.Context(), fleet.UserID{}, fleet.NoticeID{}, 10)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d notices, %v", len(list), err)
	}
	for _, s := range list {
		if s.Notice.Channel != fleet.MailChannel || s.Notice.User != ada.id {
			continue
		}
		if _, err := (schema.Notices{DB: h.db}).Claim(t.Context(), s.Notice.ID, noon); err != nil {
			t.Fatal(err)
		}
		if err := (schema.Notices{DB: h.db}).Finish(t.Context(), s.Notice.ID, fleet.NoticeUnknown, "no answer", noon); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[*person]fleet.NoticeState{ada: fleet.NoticeUnknown, bo: fleet.NoticeQueued} {
		items := as[page[InboxItem]](t, p.must(http.StatusOK, http.MethodGet, "/api/users/inbox", nil)).Items
		if len(items) != 1 || items[0].BookingID != booking || len(items[0].Reference) != 7 ||
			len(items[0].Deliveries) != 1 || items[0].Deliveries[0].Channel != fleet.MailChannel || items[0].Deliveries[0].State != want {
			t.Errorf("told %+v, want it %s", items, want)
		}
	}
}

// inbox lists the kinds of what a person was told in the app, the latest first.
func (p *person) inbox() (kinds []string) {
	p.h.t.Helper()
	for _, item := range as[page[InboxItem]](p.h.t, p.must(http.StatusOK, http.MethodGet, "/api/users/inbox", nil)).Items {
		if item.Title == "" || item.Text == "" {
			p.h.t.Errorf("%s cannot be read: %+v", item.Kind, item)
		}
		kinds = append(kinds, item.Kind)
	}
	return kinds
}

func TestAPersonIsToldOfOtherRoles(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleAdmin)
		path := "/api/users/" + ada.id.String() + "/roles"
		bo.must(http.StatusOK, http.MethodPut, path, rolesBody(fleet.RoleRider)) // they are the same
		ada.signIn()
		if got := ada.inbox(); len(got) != 0 {
			t.Errorf("told of nothing: %v", got)
		}
		bo.must(http.StatusOK, http.MethodPut, path, rolesBody(fleet.RoleAdmin, fleet.RoleDriver))
		ada.signIn()
		items := as[page[InboxItem]](t, ada.must(http.StatusOK, http.MethodGet, "/api/users/inbox", nil)).Items
		if len(items) != 1 || items[0].Kind != "role_changed" || !strings.HasPrefix(items[0].Text, "You are now: admin, protection officer. ") {
			t.Errorf("told %+v", items)
		}
		if got := h.toldTo(ada.id); len(got) != 2 || got[0] != "role_changed to "+ada.id.String()+"@example.com" {
			t.Errorf("told %v", got)
		}

		// From here on it takes two: the other one is asked, and nobody else.
		compliance, out := h.person(fleet.RoleCompliance), h.person(fleet.RoleAdmin)
		if _, err := (schema.Users{DB: h.db}).Suspend(t.Context(), out.id, fleet.Suspension{Reason: "x", Since: noon}); err != nil {
			t.Fatal(err)
		}
		rider := h.person(fleet.RoleRider)
		asked := as[roleChange](t, ada.must(http.StatusAccepted, http.MethodPut, "/api/users/"+rider.id.String()+"/roles", rolesBody(fleet.RoleFinance))).Approval
		if got := bo.inbox(); !slices.Equal(got, []string{"approval_needed"}) {
			t.Errorf("who may approve is told %v", got)
		}
		for name, p := range map[string]*person{"the asker": ada, "whom it is about": rider, "compliance": compliance, "an admin who is suspended": out} {
			if slices.ContainsFunc(h.toldTo(p.id), func(what string) bool { return strings.HasPrefix(what, "approval_needed") }) {
				t.Errorf("%s is asked to approve", name)
			}
		}
		bo.must(http.StatusOK, http.MethodPost, "/api/approvals/"+asked.ID.String()+"/approve", nil)
		rider.signIn()
		if got := rider.inbox(); !slices.Equal(got, []string{"role_changed"}) {
			t.Errorf("after the approval they are told %v", got)
		}
		// The audit log is opened by compliance or an admin.
		ada.must(http.StatusCreated, http.MethodPost, "/api/approvals", map[string]any{"kind": "audit_log", "reason": "x"})
		if got := compliance.inbox(); !slices.Equal(got, []string{"approval_needed"}) {
			t.Errorf("compliance is told %v", got)
		}
	})
}
