package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

func TestNoticesAreListedWithoutWhatTheySay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	notices := schema.Notices{DB: h.db}
	reader := h.person(fleet.RoleRider)
	var kinds []string
	for i := range 5 {
		n := fleet.Notice{
			ID: fleet.NewID[fleet.Notice](), User: reader.id, Channel: fleet.MailChannel, To: "ada.vale@example.com", Kind: fmt.Sprintf("k%d", i),
			Sealed: []byte("sealed"), Created: noon, Expires: noon.Add(time.Hour),
		}
		if i%2 == 1 {
			n.Channel, n.To, n.User = fleet.SMSChannel, "+447700900123", fleet.UserID{}
		}
		if err := notices.Add(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		kinds = append([]string{n.Kind}, kinds...)
		if _, err := notices.Claim(t.Context(), n.ID, noon); err != nil {
			t.Fatal(err)
		}
		if err := notices.Finish(t.Context(), n.ID, fleet.NoticeFailed, "no such mailbox", noon); err != nil {
			t.Fatal(err)
		}
	}
	if got := walk(h, "/api/notices", func(n Notice) string { return n.Kind }); !slices.Equal(got, kinds) {
		t.Errorf("notices %v, want %v", got, kinds)
	}
	compliance := h.person(fleet.RoleCompliance)
	a := compliance.must(200, "GET", "/api/notices?limit=2", nil)
	list := as[page[Notice]](t, a).Items
	mail, text := list[0], list[1]
	if mail.To != "a…@example.com" || text.To != "…23" || mail.UserID != reader.id || mail.State != fleet.NoticeFailed ||
		mail.Attempts != 1 || mail.Problem != "no such mailbox" || !mail.ChangedAt.Equal(noon) {
		t.Errorf("%+v", list)
	}
	for _, secret := range []string{"ada.vale", "4477009", "sealed"} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("%s is shown: %s", secret, a.body)
		}
	}
	for _, role := range []fleet.Role{fleet.RoleRider, fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleFinance} {
		problem(t, h.person(role).do("GET", "/api/notices", nil), http.StatusForbidden, fleet.CodeForbidden)
	}
	for to, want := range map[string]string{"@example.com": "…@example.com", "1": "…1", "": "", "é@x": "é…@x"} {
		if got := abridge(to); got != want {
			t.Errorf("%q is abridged to %q, want %q", to, got, want)
		}
	}
}
