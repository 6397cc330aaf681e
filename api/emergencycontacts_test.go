package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// invitation is what a contact is sent.
type invitation struct {
	notice         fleet.Notice
	To, From, Link string
	Phone          string
}

func (i invitation) token() string { return i.Link[strings.Index(i.Link, "#")+1:] }

// invitations are those that were sent, the newest first.
func (h *hub) invitations() (list []invitation) {
	h.t.Helper()
	statuses, err := schema.Notices{DB: h.db}.List(h.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, status := range statuses {
		i := invitation{notice: status.Notice}
		var sealed []byte
		if err := h.db.Pool().QueryRow(h.t.Context(), `SELECT data FROM notices WHERE id = $1`, i.notice.ID).Scan(&sealed); err != nil {
			h.t.Fatal(err)
		}
		plain, err := h.keyring.Unseal(sealed, i.notice.Purpose())
		if err != nil {
			h.t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &i); err != nil {
			h.t.Fatal(err)
		}
		list = append(list, i)
	}
	return list
}

// answer sends a token as somebody without an account.
func (h *hub) answer(way, token string) answer {
	h.t.Helper()
	r := h.request(http.MethodPost, "/api/contacts/"+way, map[string]string{"token": token})
	r.Header.Del("Authorization")
	return h.send(r)
}

func (p *person) contacts() []Contact {
	p.h.t.Helper()
	return as[page[Contact]](p.h.t, p.must(http.StatusOK, "GET", "/api/users/contacts", nil)).Items
}

func charles(email string) map[string]any {
	return map[string]any{"name": "Charles", "relation": "friend", "email": email, "phone": "+442079460000"}
}

func TestContactsAgreeBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, eve := h.person(fleet.RoleRider), h.person(fleet.RoleAdmin)
	made := as[Contact](t, ada.must(http.StatusCreated, "POST", "/api/users/contacts", charles(" Charles@Example.com")))
	if made.State != fleet.ContactInvited || made.Email != "charles@example.com" {
		t.Errorf("made %+v", made)
	}
	sent := h.invitations()
	if len(sent) != 1 || sent[0].notice.To != "charles@example.com" || sent[0].notice.Channel != fleet.MailChannel ||
		sent[0].notice.Kind != "contact_invitation" || sent[0].To != "Charles" || sent[0].From != "Test Person" ||
		!strings.HasPrefix(sent[0].Link, "https://hub.example/contact#") || len(sent[0].token()) < 40 {
		t.Fatalf("sent %+v", sent)
	}
	token := sent[0].token()
	var clear string
	if err := h.db.Pool().QueryRow(t.Context(), `
		SELECT c::text || i::text FROM contacts c, contact_invitations i`).Scan(&clear); err != nil || strings.Contains(clear, token) || strings.Contains(clear, "harles") {
		t.Errorf("the database holds %s, error %v", clear, err)
	}
	problem(t, h.answer("opt-in", token[1:]), http.StatusNotFound, fleet.CodeNotFound)
	if got := ada.contacts(); got[0].State != fleet.ContactInvited {
		t.Errorf("a wrong token has made it %s", got[0].State)
	}
	for _, step := range []struct {
		way  string
		want fleet.ContactState
	}{{"opt-in", fleet.ContactOptedIn}, {"opt-in", fleet.ContactOptedIn}, {"opt-out", fleet.ContactDeclined}, {"opt-in", fleet.ContactOptedIn}, {"opt-out", fleet.ContactDeclined}} {
		if a := h.answer(step.way, token); a.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: %s: %s", step.way, a.Status, a.body)
		}
		if got := ada.contacts(); got[0].State != step.want || got[0].AnsweredAt.IsZero() {
			t.Errorf("after %s: %+v", step.way, got[0])
		}
	}

	path := "/api/users/contacts/" + made.ID.String()
	problem(t, eve.do("PUT", path, charles("eve@example.com")), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, eve.do("DELETE", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	if got := eve.contacts(); len(got) != 0 {
		t.Errorf("another's list: %+v", got)
	}
	// Who has declined is not asked again by the same person, not even anew.
	ada.must(http.StatusNoContent, "DELETE", path, nil)
	problem(t, ada.do("POST", "/api/users/contacts", charles("charles@example.com")), http.StatusConflict, fleet.CodeConflict)
	if got := ada.contacts(); len(got) != 0 || len(h.invitations()) != 1 {
		t.Errorf("contacts %+v, %d invitations", got, len(h.invitations()))
	}
}

func TestWhoHasNotAnsweredIsInvitedOnceMore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		p := h.person(fleet.RoleRider)
		made := as[Contact](t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles("a@example.com")))
		invite := "/api/users/contacts/" + made.ID.String() + "/invite"
		old := h.invitations()[0].token()
		h.clock.Advance(account.InvitationLife + time.Second)
		p.signIn()
		problem(t, h.answer("opt-in", old), http.StatusNotFound, fleet.CodeNotFound)
		p.must(http.StatusNoContent, "POST", invite, nil)
		sent := h.invitations()
		if len(sent) != 2 || sent[0].notice.To != "a@example.com" || sent[0].token() == old {
			t.Fatalf("sent %+v", sent)
		}
		// It is mail to somebody who has not asked for it.
		p.must(http.StatusNoContent, "POST", invite, nil)
		p.must(http.StatusNoContent, "POST", invite, nil)
		problem(t, p.do("POST", invite, nil), http.StatusTooManyRequests, fleet.CodeTooMany)
		problem(t, h.person(fleet.RoleRider).do("POST", invite, nil), http.StatusNotFound, fleet.CodeNotFound)
		if a := h.answer("opt-in", sent[0].token()); a.StatusCode != http.StatusNoContent {
			t.Errorf("the second link: %s", a.Status)
		}
		problem(t, p.do("POST", invite, nil), http.StatusConflict, fleet.CodeConflict) // they have agreed
		if a := h.answer("opt-out", old); a.StatusCode != http.StatusNoContent {
			t.Errorf("a no by the first link: %s", a.Status)
		}
		problem(t, p.do("POST", invite, nil), http.StatusConflict, fleet.CodeConflict)
		if n := len(h.invitations()); n != 4 {
			t.Errorf("%d invitations", n)
		}
	})
}

// A no is said to the user, not to one of the mails: who was deleted and added anew, and
// answers the older of two invitations, is not told of emergencies all the same.
func TestANoByAnyLinkIsANo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		p, other := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
		add := func(p *person) string {
			made := as[Contact](t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles("a@example.com")))
			return "/api/users/contacts/" + made.ID.String()
		}
		add(other)
		others := h.invitations()[0].token()
		first := add(p)
		old := h.invitations()[0].token()
		p.must(http.StatusNoContent, "DELETE", first, nil)
		second := add(p)
		fresh := h.invitations()[0].token()
		for _, token := range []string{others, fresh} {
			h.answer("opt-in", token)
		}
		if a := h.answer("opt-out", old); a.StatusCode != http.StatusNoContent {
			t.Fatalf("a no by the first link: %s", a.Status)
		}
		if got := p.contacts(); got[0].State != fleet.ContactDeclined {
			t.Errorf("after a no by the first link it is %s", got[0].State)
		}
		if got := other.contacts(); got[0].State != fleet.ContactOptedIn {
			t.Errorf("it was said to another user too: %s", got[0].State)
		}
		// Who thinks otherwise may be asked again one day.
		h.answer("opt-in", fresh)
		p.must(http.StatusNoContent, "DELETE", second, nil)
		h.clock.Advance(30*24*time.Hour + time.Second)
		p.signIn()
		add(p)
	})
}

func TestAnotherAddressIsAnotherPerson(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	made := as[Contact](t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles("a@example.com")))
	path := "/api/users/contacts/" + made.ID.String()
	first := h.invitations()[0].token()
	h.answer("opt-in", first)
	renamed := charles("a@example.com")
	renamed["name"] = "Sir Charles"
	if got := as[Contact](t, p.must(http.StatusOK, "PUT", path, renamed)); got.State != fleet.ContactOptedIn || got.Name != "Sir Charles" {
		t.Errorf("renamed: %+v", got)
	}
	if got := as[Contact](t, p.must(http.StatusOK, "PUT", path, charles("b@example.com"))); got.State != fleet.ContactInvited || !got.AnsweredAt.IsZero() {
		t.Errorf("at another address: %+v", got)
	}
	problem(t, h.answer("opt-in", first), http.StatusNotFound, fleet.CodeNotFound) // the old link says nothing of the new one
	if got := p.contacts(); got[0].State != fleet.ContactInvited {
		t.Errorf("the old address has made it %s", got[0].State)
	}
	h.answer("opt-in", h.invitations()[0].token())
	if got := p.contacts(); got[0].State != fleet.ContactOptedIn {
		t.Errorf("the new address has made it %s", got[0].State)
	}
	phone := charles("b@example.com")
	phone["phone"] = "+442079469999"
	if got := as[Contact](t, p.must(http.StatusOK, "PUT", path, phone)); got.State != fleet.ContactInvited || h.invitations()[0].Phone != "9999" {
		t.Errorf("by another telephone as well: %+v, asked %+v", got, h.invitations()[0])
	}
}

func TestInvitationsExpireButDecliningDoesNot(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	p.must(http.StatusCreated, "POST", "/api/users/contacts", map[string]any{"name": "Charles", "phone": "+442079460000"})
	sent := h.invitations()[0]
	if sent.notice.Channel != fleet.SMSChannel || sent.notice.To != "+442079460000" {
		t.Errorf("sent %+v", sent.notice)
	}
	h.clock.Advance(account.InvitationLife)
	problem(t, h.answer("opt-in", sent.token()), http.StatusNotFound, fleet.CodeNotFound)
	if a := h.answer("opt-out", sent.token()); a.StatusCode != http.StatusNoContent {
		t.Errorf("declining late: %s: %s", a.Status, a.body)
	}
}

// Nobody can have the hub write to strangers again and again.
func TestInvitationsAreFew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	invite := func(p *person, email string) answer { return p.do("POST", "/api/users/contacts", charles(email)) }
	for i := range 5 {
		if a := invite(p, string(rune('a'+i))+"@example.com"); a.StatusCode != http.StatusCreated {
			t.Fatalf("invitation %d: %s: %s", i, a.Status, a.body)
		}
	}
	problem(t, invite(p, "f@example.com"), http.StatusTooManyRequests, fleet.CodeTooMany)
	first := p.contacts()[0]
	problem(t, p.do("PUT", "/api/users/contacts/"+first.ID.String(), charles("g@example.com")), http.StatusTooManyRequests, fleet.CodeTooMany)
	if got := p.contacts()[0]; got.Email != first.Email {
		t.Errorf("what was refused has changed the contact: %+v", got)
	}
	for range 2 { // with p's, three to one address, by whomever
		if a := invite(h.person(fleet.RoleRider), "a@example.com"); a.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s", a.Status, a.body)
		}
	}
	problem(t, invite(h.person(fleet.RoleRider), "A@example.com"), http.StatusTooManyRequests, fleet.CodeTooMany)
	if n := len(h.invitations()); n != 7 {
		t.Errorf("%d invitations were sent", n)
	}
	h.clock.Advance(24*time.Hour + time.Second)
	p.renew()
	if a := invite(p, "f@example.com"); a.StatusCode != http.StatusCreated {
		t.Errorf("the next day: %s: %s", a.Status, a.body)
	}
}

func TestBadContactsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	for _, bad := range []string{`{"name":"x"}`, `{"name":" ","email":"a@example.com"}`, `{"name":"x","email":"not one"}`, `{"name":"x","email":"a@example.com, b@example.com"}`,
		`{"name":"x","email":"A <a@example.com>"}`, `{"name":"x","email":"a@example.com\r\nBcc: b@example.com"}`, `{"name":"x","phone":"0207"}`, `{"name":"x","phone":"+44 20"}`,
		`{"name":"x","email":"a@example.com","state":"opted_in"}`} {
		if a := p.do("POST", "/api/users/contacts", bad); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s: %s", bad, a.Status, a.body)
		}
	}
	if n := len(h.invitations()); n != 0 {
		t.Errorf("%d invitations were sent", n)
	}
	p.must(http.StatusCreated, "POST", "/api/users/contacts", map[string]any{"name": "Win https://evil.example\u0007 now", "email": "a@example.com"})
	if to := h.invitations()[0].To; strings.ContainsAny(to, ":/\u0007") || strings.Contains(to, "evil.example") {
		t.Errorf("the mail addresses %q", to)
	}
	p.must(http.StatusCreated, "POST", "/api/users/contacts", map[string]any{"name": "Dr. A.B. Vale", "email": "b@example.com"})
	if to := h.invitations()[0].To; to != "Dr. A. B. Vale" {
		t.Errorf("the mail addresses %q", to)
	}
}

func TestContactPageRunsNothingButItsOwn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for path, mediaType := range map[string]string{"/contact": "text/html", "/contact/page.js": "javascript", "/contact/page.css": "text/css"} {
		a := h.send(h.anonymous(http.MethodGet, path))
		if a.StatusCode != http.StatusOK || !strings.Contains(a.Header.Get("Content-Type"), mediaType) ||
			!strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(string(a.body), "http") {
			t.Errorf("%s: %s, %v", path, a.Status, a.Header)
		}
	}
	problem(t, h.send(h.anonymous(http.MethodGet, "/contact/..%2Fapi.go")), http.StatusNotFound, fleet.CodeNotFound)
}

func TestStaffSeeContactsWithTheQuestionnaire(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleRider)
	made := as[Contact](t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles("a@example.com")))
	p.must(http.StatusOK, "PUT", stepPath+"emergency_contacts", map[string]any{"contact_ids": []string{made.ID.String()}})
	got := as[Questionnaire](t, h.person(fleet.RoleDispatcher).must(http.StatusOK, "GET", "/api/users/"+p.id.String()+"/questionnaire", nil))
	if len(got.Contacts) != 1 || got.Contacts[0].Phone != "+442079460000" {
		t.Errorf("staff see %+v", got.Contacts)
	}
	if own := as[Questionnaire](t, p.must(http.StatusOK, "GET", "/api/users/questionnaire", nil)); len(own.Contacts) != 0 {
		t.Errorf("%+v", own.Contacts)
	}
}
