package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

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
