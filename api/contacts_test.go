package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// sentNotice is a notice as its template sees it.
type sentNotice struct {
	Kind, To string
	Channel  fleet.Channel
	User     fleet.UserID
	Data     map[string]string
}

// lastNotice returns what somebody was told last.
func (h *hub) lastNotice() (n sentNotice) {
	h.t.Helper()
	notices := schema.Notices{DB: h.db}
	list, err := notices.List(h.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 1)
	if err != nil || len(list) != 1 {
		h.t.Fatalf("the last notice: %v, %v", list, err)
	}
	got, err := notices.Claim(h.t.Context(), list[0].Notice.ID, h.clock.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	plain, err := h.keyring.Unseal(got.Sealed, got.Purpose())
	if err == nil {
		err = json.Unmarshal(plain, &n.Data)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	n.Kind, n.To, n.Channel, n.User = got.Kind, got.To, got.Channel, got.User
	return n
}

// toldTo lists what a person was told and where, the latest first; in the app is
// nowhere.
func (h *hub) toldTo(user fleet.UserID) (told []string) {
	h.t.Helper()
	list, err := (schema.Notices{DB: h.db}).List(h.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range list {
		if s.Notice.User == user {
			told = append(told, s.Notice.Kind+" to "+s.Notice.To)
		}
	}
	return told
}

func codeBody(code string) map[string]any { return map[string]any{"code": code} }

// other returns a code that is not this one.
func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestChangeOfEmail(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
		old := ada.id.String() + "@example.com"
		const ask, verify, address = "/api/users/me/email", "/api/users/me/email/verify", "Ada.Vale@Example.com"
		ada.must(http.StatusAccepted, http.MethodPost, ask, map[string]any{"email": address})
		sent := h.lastNotice()
		if sent.Kind != "change_email" || sent.To != "ada.vale@example.com" || sent.User != ada.id || len(sent.Data["code"]) != 6 {
			t.Fatalf("sent %+v", sent)
		}
		code := sent.Data["code"]
		problem(t, ada.do(http.MethodPost, verify, codeBody(other(code))), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		problem(t, bo.do(http.MethodPost, verify, codeBody(code)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		got := as[User](t, ada.must(http.StatusOK, http.MethodPost, verify, codeBody(code)))
		if got.Email != "ada.vale@example.com" || !got.EmailVerified {
			t.Errorf("afterwards %+v", got)
		}
		if got := h.toldTo(ada.id)[:3]; !slices.Equal(got, []string{
			"email_changed to ada.vale@example.com", "email_changed to " + old, "email_changed to ",
		}) {
			t.Errorf("both addresses and the inbox are told %v", got)
		}
		problem(t, ada.do(http.MethodPost, verify, codeBody(code)), http.StatusUnprocessableEntity, fleet.CodeInvalid)

		// An address that is somebody's gives the same answer, and its owner is told.
		free := ada.must(http.StatusAccepted, http.MethodPost, ask, map[string]any{"email": "free@example.com"})
		taken := ada.must(http.StatusAccepted, http.MethodPost, ask, map[string]any{"email": bo.id.String() + "@example.com"})
		if string(free.body) != string(taken.body) {
			t.Errorf("%s and %s", free.body, taken.body)
		}
		if n := h.lastNotice(); n.Kind != "account_exists" || n.To != bo.id.String()+"@example.com" || n.User != bo.id || n.Data["code"] != "" {
			t.Errorf("the owner is told %+v", n) // whose it is: else it is shown to all staff, and outlives the account
		}
	})
}

// Two who prove that they own an address: it is the first one's.
func TestAnAddressThatWasTakenMeanwhileIsAWrongCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		var codes []string
		people := []*person{h.person(fleet.RoleRider), h.person(fleet.RoleRider)}
		for _, p := range people {
			p.must(http.StatusAccepted, http.MethodPost, "/api/users/me/email", map[string]any{"email": "shared@example.com"})
			codes = append(codes, h.lastNotice().Data["code"])
		}
		people[0].must(http.StatusOK, http.MethodPost, "/api/users/me/email/verify", codeBody(codes[0]))
		problem(t, people[1].do(http.MethodPost, "/api/users/me/email/verify", codeBody(codes[1])), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	})
}

func TestVerifiedPhone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *hub) {
		ada := h.person(fleet.RoleRider)
		const ask, verify, number = "/api/users/me/phone", "/api/users/me/phone/verify", "+442071838750"
		for _, bad := range []string{"", "020 7183 8750", "+0207183875", "+44", "+44207183875012345"} {
			problem(t, ada.do(http.MethodPost, ask, map[string]any{"phone": bad}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		}
		ada.must(http.StatusAccepted, http.MethodPost, ask, map[string]any{"phone": number})
		sent := h.lastNotice()
		if sent.Kind != "verify_phone" || sent.Channel != fleet.SMSChannel || sent.To != number || sent.User != ada.id {
			t.Fatalf("sent %+v", sent)
		}
		if got := as[User](t, ada.must(http.StatusOK, http.MethodGet, "/api/users/me", nil)); got.Phone != "" {
			t.Errorf("unproven, and in force: %+v", got)
		}
		// A code that proves a number proves no address.
		problem(t, ada.do(http.MethodPost, "/api/users/me/email/verify", codeBody(sent.Data["code"])), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		got := as[User](t, ada.must(http.StatusOK, http.MethodPost, verify, codeBody(sent.Data["code"])))
		if got.Phone != number || !got.PhoneVerified {
			t.Errorf("afterwards %+v", got)
		}
		if n := h.lastNotice(); n.Kind != "phone_changed" || n.Channel != fleet.MailChannel {
			t.Errorf("told by %+v", n)
		}
	})
}

func TestCodesOfContactsExpireAndAreFewTries(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	const verify = "/api/users/me/phone/verify"
	ask := func() string {
		ada.must(http.StatusAccepted, http.MethodPost, "/api/users/me/phone", map[string]any{"phone": "+442071838750"})
		return h.lastNotice().Data["code"]
	}
	code := ask()
	h.clock.Advance(15 * time.Minute)
	ada.signIn()
	problem(t, ada.do(http.MethodPost, verify, codeBody(code)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	code = ask()
	for range 5 {
		h.clock.Advance(10 * time.Second) // the longest wait between two guesses
		problem(t, ada.do(http.MethodPost, verify, codeBody(other(code))), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	h.clock.Advance(10 * time.Second)
	problem(t, ada.do(http.MethodPost, verify, codeBody(code)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

// Text messages cost money: after a few, each waits longer than the one before,
// whoever asks and wherever it goes.
func TestCodesToContactsAreLimited(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	ask := func(p *person, number string) answer {
		return p.do(http.MethodPost, "/api/users/me/phone", map[string]any{"phone": number})
	}
	for a := ask(ada, "+442071838750"); ; a = ask(ada, "+442071838750") {
		if a.StatusCode == http.StatusAccepted {
			continue
		}
		problem(t, a, http.StatusTooManyRequests, fleet.CodeTooMany)
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		break
	}
	problem(t, ask(ada, "+442071838751"), http.StatusTooManyRequests, fleet.CodeTooMany)
	problem(t, ask(bo, "+442071838750"), http.StatusTooManyRequests, fleet.CodeTooMany)
	if a := ask(bo, "+442071838751"); a.StatusCode != http.StatusAccepted {
		t.Errorf("another person and another number: %s", a.Status)
	}
}

func TestContactsChangeAfterAFreshSignInAlone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	h.clock.Advance(account.FreshFor + time.Second)
	ada.renew()
	for path, body := range map[string]any{
		"/api/users/me/email":        map[string]any{"email": "a@example.com"},
		"/api/users/me/email/verify": codeBody("000000"),
		"/api/users/me/phone":        map[string]any{"phone": "+442071838750"},
		"/api/users/me/phone/verify": codeBody("000000"),
	} {
		problem(t, ada.do(http.MethodPost, path, body), http.StatusForbidden, fleet.CodeStaleSignIn)
	}
}
