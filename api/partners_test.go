package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

type client struct {
	ID     string `json:"id"`
	Secret string `json:"client_secret"`
}

func (h *hub) partner() client {
	h.t.Helper()
	return as[client](h.t, h.must(201, "POST", "/api/partners", map[string]any{"name": "Hotel", "scopes": []string{"fleet:read"}}))
}

// ask asks for a token; change makes the request what it should not be.
func (h *hub) ask(c client, change func(*http.Request, url.Values)) answer {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	r := h.request("POST", "/api/auth/token", strings.NewReader(""))
	r.SetBasicAuth(c.ID, c.Secret)
	if change != nil {
		change(r, form)
	}
	r2 := h.request("POST", "/api/auth/token", strings.NewReader(form.Encode()))
	r2.Header = r.Header
	r2.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.send(r2)
}

func (h *hub) granted(c client) *person {
	h.t.Helper()
	a := h.ask(c, nil)
	body := as[tokenBody](h.t, a)
	if a.StatusCode != http.StatusOK || body.TokenType != "Bearer" || body.ExpiresIn != 600 || body.Scope != "fleet:read" ||
		a.Header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("%s %s", a.Status, a.body)
	}
	return &person{h: h, token: body.AccessToken}
}

const nearby = "/api/drivers/nearby?lat=51.5&lon=0"

func TestAPartnerSeesWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		c := h.partner()
		p := h.granted(c)
		p.must(200, "GET", nearby, nil)
		for _, path := range []string{"/api/drivers", "/api/users/me", "/api/auth/sessions", "/api/partners", "/api/auth/identities"} {
			problem(t, p.do("GET", path, nil), 403, fleet.CodeForbidden)
		}
		inForm := h.ask(c, func(r *http.Request, form url.Values) {
			r.Header.Del("Authorization")
			form.Set("client_id", c.ID)
			form.Set("client_secret", c.Secret)
			form.Set("scope", "fleet:read")
		})
		if inForm.StatusCode != http.StatusOK {
			t.Errorf("%s %s", inForm.Status, inForm.body)
		}
		// Another partner, whose scope was taken after its token was made.
		if _, err := db.Pool().Exec(t.Context(), `UPDATE partners SET scopes = '{}' WHERE id = $1`, c.ID); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(31 * time.Second) // past what the hub remembers
		problem(t, p.do("GET", nearby, nil), 403, fleet.CodeForbidden)
	})
}

func TestTokenErrorsAreThoseOfOAuth2(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := h.partner()
	for what, test := range map[string]struct {
		status int
		code   string
		change func(*http.Request, url.Values)
	}{
		"wrong secret":   {401, "invalid_client", func(r *http.Request, _ url.Values) { r.SetBasicAuth(c.ID, "wrong") }},
		"unknown client": {401, "invalid_client", func(r *http.Request, _ url.Values) { r.SetBasicAuth(fleet.NewID[fleet.Partner]().String(), c.Secret) }},
		"no id":          {401, "invalid_client", func(r *http.Request, _ url.Values) { r.SetBasicAuth("x", c.Secret) }},
		"nobody":         {400, "invalid_request", func(r *http.Request, _ url.Values) { r.Header.Del("Authorization") }},
		"a bearer":       {400, "invalid_request", func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Bearer "+adminToken) }},
		"both ways":      {400, "invalid_request", func(_ *http.Request, f url.Values) { f.Set("client_secret", c.Secret) }},
		"two names":      {400, "invalid_request", func(_ *http.Request, f url.Values) { f.Set("client_id", "another") }},
		"no grant":       {400, "invalid_request", func(_ *http.Request, f url.Values) { f.Del("grant_type"); f.Set("scope", "fleet:read") }},
		"twice":          {400, "invalid_request", func(_ *http.Request, f url.Values) { f.Add("grant_type", "client_credentials") }},
		"another grant":  {400, "unsupported_grant_type", func(_ *http.Request, f url.Values) { f.Set("grant_type", "password") }},
		"no form":        {400, "invalid_request", func(_ *http.Request, f url.Values) { clear(f) }},
		"another scope":  {400, "invalid_scope", func(_ *http.Request, f url.Values) { f.Set("scope", "fleet:read fleet:write") }},
	} {
		a := h.ask(c, test.change)
		if body := as[tokenBody](t, a); a.StatusCode != test.status || body.Error != test.code || body.AccessToken != "" {
			t.Errorf("%s: %s %s, want %d %s", what, a.Status, a.body, test.status, test.code)
		}
		if cache := a.Header.Get("Cache-Control"); cache != "no-store" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, to be kept: %q", what, a.Header.Get("Content-Type"), cache)
		}
		if challenged := a.Header.Get("WWW-Authenticate") != ""; challenged != (test.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", what, a.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestAPartnersSecretsOverlapAndARevokedPartnerIsOutAtOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		before := h.partner()
		after := before
		after.Secret = as[client](t, h.must(201, "POST", "/api/partners/"+before.ID+"/secret", map[string]any{"overlap_seconds": 60})).Secret
		h.granted(before)
		h.granted(after)
		h.clock.Advance(time.Minute)
		if a := h.ask(before, nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("the secret before: %s", a.Status)
		}
		p := h.granted(after)
		p.must(200, "GET", nearby, nil)
		h.must(204, "DELETE", "/api/partners/"+after.ID, nil)
		problem(t, p.do("GET", nearby, nil), 401, fleet.CodeUnauthenticated)
		if a := h.ask(after, nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("a revoked partner: %s", a.Status)
		}
		problem(t, h.do("DELETE", "/api/partners/"+after.ID, nil), 404, fleet.CodeNotFound)
		problem(t, h.do("POST", "/api/partners/"+after.ID+"/secret", map[string]any{}), 404, fleet.CodeNotFound)
		if list := string(h.must(200, "GET", "/api/partners", nil).body); !strings.Contains(list, `"revoked_at"`) || strings.Contains(list, after.Secret) {
			t.Errorf("%s", list)
		}
	})
}

func TestOnlyAnAdminWhoHasJustSignedInLetsAPartnerIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	admin := h.person(fleet.RoleAdmin)
	h.clock.Advance(11 * time.Minute)
	admin.renew()
	body := map[string]any{"name": "Hotel", "scopes": []string{"fleet:read"}}
	problem(t, admin.do("POST", "/api/partners", body), 403, fleet.CodeStaleSignIn)
	problem(t, h.person(fleet.RoleDispatcher).do("POST", "/api/partners", body), 403, fleet.CodeForbidden)
	body["scopes"] = []string{"fleet:write"}
	problem(t, h.do("POST", "/api/partners", body), 422, fleet.CodeInvalid)
}
