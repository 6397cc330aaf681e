package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"
	"golang.org/x/oauth2"

	"armora/account"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/oidc"
)

const waitsAt = "armora://signed-in?app=1"

// abroad is a hub with two providers: google, which answers by redirect, and
// apple, by a form, whose client secret is signed.
type abroad struct {
	*hub
	google, apple *oidc.Provider
}

func newAbroad(t *testing.T) *abroad {
	t.Helper()
	return newAbroadOn(t, schematest.Plain(t))
}

func newAbroadOn(t *testing.T, db *schema.DB) *abroad {
	t.Helper()
	a := &abroad{google: openProvider(t), apple: openProvider(t)}
	key, keyFile := appleKey(t)
	text, err := json.Marshal([]map[string]any{
		{"name": "google", "issuer": a.google.Issuer(), "client_id": "hub", "client_secret": "s3cret", "native_client_ids": []string{"phone"}},
		{"name": "apple", "issuer": a.apple.Issuer(), "client_id": "hub.apple", "form_post": true,
			"apple": map[string]string{"team_id": "TEAM", "key_id": "KEY", "key_file": keyFile}},
	})
	if err != nil {
		t.Fatal(err)
	}
	providers, err := account.ReadOIDCProviders(string(text))
	if err != nil {
		t.Fatal(err)
	}
	const hubAddress = "http://hub.example"
	a.hub = newHubAt(t, db, time.Now().Truncate(time.Second), func(c *Config) {
		c.Federation = account.NewFederation(account.FederationConfig{
			DB: db, Keyring: c.Keyring, People: c.People, Clock: c.Clock, Providers: providers,
			Redirects: []string{waitsAt}, PublicURL: hubAddress + "/",
		})
	})
	a.google.Serve(oidc.Config{
		ClientID: "hub", Redirects: []string{hubAddress + "/api/auth/oidc/google/callback"},
		Secret: func(secret string) bool { return secret == "s3cret" },
	})
	a.apple.Serve(oidc.Config{
		ClientID: "hub.apple", Redirects: []string{hubAddress + "/api/auth/oidc/apple/callback"},
		Secret: func(secret string) bool { return isAppleSecret(secret, key, a.apple.Issuer()) },
	})
	return a
}

func openProvider(t *testing.T) *oidc.Provider {
	t.Helper()
	p, err := oidc.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func appleKey(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "apple.p8")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return key, file
}

// isAppleSecret judges a client secret as Apple does.
func isAppleSecret(secret string, key *ecdsa.PrivateKey, audience string) bool {
	token, err := jwt.Parse(secret, func(t *jwt.Token) (any, error) { return &key.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("TEAM"), jwt.WithSubject("hub.apple"), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return err == nil && token.Header["kid"] == "KEY"
}

// app is a phone's app that has a person sign in.
type app struct {
	a        *abroad
	provider string
	verifier string
}

func (a *abroad) app(provider string) *app {
	return &app{a: a, provider: provider, verifier: oauth2.GenerateVerifier()}
}

// browse is a browser that goes no further than it is told.
var browse = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (a *abroad) open(r *http.Request) (status int, location, body string) {
	a.t.Helper()
	resp, err := browse.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

func (a *abroad) get(address string) (status int, location, body string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.open(r)
}

// begin asks the hub to begin and returns the address at the provider.
func (p *app) begin() string {
	p.a.t.Helper()
	query := url.Values{"redirect_uri": {waitsAt}, "state": {"my state"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(p.verifier)}}
	status, location, body := p.a.get(p.a.url + "/api/auth/oidc/" + p.provider + "/start?" + query.Encode())
	if status != http.StatusSeeOther {
		p.a.t.Fatalf("start: %d %s", status, body)
	}
	return location
}

var inputs = regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`)

// atProvider has the person sign in there, and returns the answer for the hub.
func (p *app) atProvider(location string) url.Values {
	p.a.t.Helper()
	for range 3 { // the login page, and back
		status, next, body := p.a.get(location)
		if status == http.StatusOK { // a form that posts itself
			form := url.Values{}
			for _, input := range inputs.FindAllStringSubmatch(body, -1) {
				form.Set(input[1], html.UnescapeString(input[2]))
			}
			return form
		}
		target, err := url.Parse(next)
		if err != nil || status/100 != 3 {
			p.a.t.Fatalf("at the provider: %d %s %s", status, next, body)
		}
		if target.Host == "hub.example" {
			return target.Query()
		}
		location = next
	}
	p.a.t.Fatal("the provider goes round in circles")
	return nil
}

// bring brings the provider's answer to the hub's callback of a provider.
func (p *app) bring(provider string, answer url.Values) (status int, location *url.URL, body string) {
	p.a.t.Helper()
	address := p.a.url + "/api/auth/oidc/" + provider + "/callback"
	var next string
	if provider == "apple" {
		r, err := http.NewRequestWithContext(p.a.t.Context(), http.MethodPost, address, strings.NewReader(answer.Encode()))
		if err != nil {
			p.a.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://appleid.apple.com")
		status, next, body = p.a.open(r)
	} else {
		status, next, body = p.a.get(address + "?" + answer.Encode())
	}
	location, err := url.Parse(next)
	if err != nil {
		p.a.t.Fatal(err)
	}
	return status, location, body
}

// code goes all the way and returns the one-time code.
func (p *app) code() string {
	p.a.t.Helper()
	status, back, body := p.bring(p.provider, p.atProvider(p.begin()))
	query := back.Query()
	if status != http.StatusSeeOther || back.Scheme != "armora" || back.Host != "signed-in" || query.Get("app") != "1" ||
		query.Get("state") != "my state" || query.Get("code") == "" {
		p.a.t.Fatalf("callback: %d %s %s", status, back, body)
	}
	if len(query) != 3 {
		p.a.t.Errorf("more than a code is in the address: %s", back)
	}
	return query.Get("code")
}

func (p *app) exchange(code, otp string) answer {
	p.a.t.Helper()
	r := p.a.request("POST", "/api/auth/oidc/exchange", map[string]string{"code": code, "code_verifier": p.verifier, "otp": otp})
	r.Header.Del("Authorization")
	return p.a.send(r)
}

// signIn goes all the way and returns the person.
func (p *app) signIn() *person {
	p.a.t.Helper()
	return p.a.entered(p.exchange(p.code(), ""))
}

func (a *abroad) entered(got answer) *person {
	a.t.Helper()
	if got.StatusCode != http.StatusOK {
		a.t.Fatalf("%s %s", got.Status, got.body)
	}
	t := as[tokens](a.t, got)
	if t.RefreshToken == "" || t.TokenType != "Bearer" || t.ExpiresIn != 600 {
		a.t.Errorf("%s", got.body)
	}
	return &person{h: a.hub, id: t.User.ID, token: t.AccessToken}
}

func (a *abroad) token(provider, body string) answer {
	a.t.Helper()
	r := a.request("POST", "/api/auth/oidc/"+provider+"/token", body)
	r.Header.Del("Authorization")
	return a.send(r)
}

var grace = oidc.Person{Subject: "g-1", Email: "Grace@Example.com", EmailVerified: true, Name: "Grace Vale"}

func TestANewPersonSignsInByAProvider(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		a := newAbroadOn(t, db)
		if got := string(a.send(a.anonymous("GET", "/api/auth/oidc")).body); !strings.Contains(got, `"google"`) || !strings.Contains(got, `"Apple"`) {
			t.Errorf("the providers are %s", got)
		}
		a.google.Seat(grace)
		first := a.app("google").signIn()
		me := as[User](t, first.must(200, "GET", "/api/users/me", nil))
		if me.Email != "grace@example.com" || !me.EmailVerified || me.Name != "Grace Vale" || !slices.Equal(me.Roles, []fleet.Role{fleet.RoleRider}) {
			t.Errorf("she is %+v", me)
		}
		again := a.app("google").signIn()
		if again.id != first.id {
			t.Error("the second sign-in is somebody else's")
		}
		if !strings.Contains(string(again.must(200, "GET", "/api/auth/sessions", nil).body), `"method":"google"`) {
			t.Error("the session does not say how it was begun")
		}

		a.apple.Seat(oidc.Person{Subject: "a-1", Email: "hedy@example.com", EmailVerified: true})
		p := a.app("apple")
		answer := p.atProvider(p.begin())
		answer.Set("user", `{"name":{"firstName":"Hedy","lastName":"Lane"},"email":"grace@example.com"}`)
		_, back, _ := p.bring("apple", answer)
		hedy := a.entered(p.exchange(back.Query().Get("code"), ""))
		me = as[User](t, hedy.must(200, "GET", "/api/users/me", nil))
		if me.Email != "hedy@example.com" || me.Name != "Hedy Lane" || me.ID == first.id {
			t.Errorf("the other is %+v", me)
		}
	})
}

func TestAnAnswerCountsOnce(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	p := a.app("google")
	answer := p.atProvider(p.begin())
	_, back, _ := p.bring("google", answer)
	if status, location, body := p.bring("google", answer); status != 422 || location.String() != "" {
		t.Errorf("brought again: %d %s %s", status, location, body)
	}
	code := back.Query().Get("code")
	a.entered(p.exchange(code, ""))
	problem(t, p.exchange(code, ""), 401, fleet.CodeUnauthenticated)

	// The provider's own code, in another flow of the same app.
	q := a.app("google")
	other := q.atProvider(q.begin())
	other.Set("code", answer.Get("code"))
	if _, back, _ := q.bring("google", other); back.Query().Get("error") != "invalid_grant" || back.Query().Has("code") {
		t.Errorf("an old code: %s", back)
	}
}

// Whoever sees an address on its way, or lures somebody to it, gets nowhere.
func TestStolenAndForeignAnswersAreWorthNothing(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	a.apple.Seat(grace)
	p, thief := a.app("google"), a.app("google")
	code := p.code()
	problem(t, thief.exchange(code, ""), 401, fleet.CodeUnauthenticated) // without the verifier
	problem(t, p.exchange(code, ""), 401, fleet.CodeUnauthenticated)     // and the code is gone

	code = p.code()
	a.clock.Advance(time.Minute)
	problem(t, p.exchange(code, ""), 401, fleet.CodeUnauthenticated) // too late
	problem(t, p.exchange("", ""), 401, fleet.CodeUnauthenticated)

	location := p.begin()
	answer := p.atProvider(location)
	for what, change := range map[string]func(url.Values){
		"no state":      func(v url.Values) { v.Del("state") },
		"another state": func(v url.Values) { v.Set("state", "x") },
	} {
		wrong := url.Values{"state": answer["state"], "code": answer["code"]}
		change(wrong)
		if status, location, body := p.bring("google", wrong); status != 422 || location.String() != "" {
			t.Errorf("%s: %d %s %s", what, status, location, body)
		}
	}
	if status, _, body := p.bring("apple", answer); status != 422 { // a mix-up of providers
		t.Errorf("google's answer at apple's callback: %d %s", status, body)
	}
	mixed := url.Values{"state": answer["state"], "code": answer["code"], "iss": {a.apple.Issuer()}}
	if _, back, _ := p.bring("google", mixed); back.Query().Get("error") != "invalid_grant" {
		t.Errorf("an answer that says it is apple's: %s", back)
	}
	late := p.atProvider(p.begin())
	a.clock.Advance(10 * time.Minute)
	if status, _, body := p.bring("google", late); status != 422 {
		t.Errorf("too late: %d %s", status, body)
	}
}

func TestTokensThatWereMadeForSomethingElseAreRefused(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	p := a.app("google")
	for what, change := range map[string]func(*oidc.Person){
		"another nonce":    func(o *oidc.Person) { o.Nonce = "another" },
		"another audience": func(o *oidc.Person) { o.Audience = "somebody-else" },
		"no subject":       func(o *oidc.Person) { o.Subject = "" },
	} {
		who := grace
		change(&who)
		a.google.Seat(who)
		if _, back, _ := p.bring("google", p.atProvider(p.begin())); back.Query().Get("error") != "invalid_grant" || back.Query().Has("code") {
			t.Errorf("%s: %s", what, back)
		}
	}
	who := grace
	who.Denies = true
	a.google.Seat(who)
	_, back, _ := p.bring("google", p.atProvider(p.begin()))
	if back.Query().Get("error") != "access_denied" || back.Query().Get("state") != "my state" {
		t.Errorf("she said no: %s", back)
	}
}

func TestAppsAreSentBackToListedPlacesAlone(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	challenge := oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())
	for _, place := range []string{
		"https://evil.example", "armora://signed-in", waitsAt + "&x=1", waitsAt + "#x", strings.ToUpper(waitsAt), "//evil.example", "",
		"armora://signed-in?app=1@evil.example",
	} {
		query := url.Values{"redirect_uri": {place}, "code_challenge": {challenge}}
		status, location, _ := a.get(a.url + "/api/auth/oidc/google/start?" + query.Encode())
		if status != 422 || location != "" {
			t.Errorf("%q: %d %s", place, status, location)
		}
	}
	for _, challenge := range []string{"", "x", strings.Repeat("!", 43), strings.Repeat("A", 42) + "B"} {
		query := url.Values{"redirect_uri": {waitsAt}, "code_challenge": {challenge}}
		if status, _, _ := a.get(a.url + "/api/auth/oidc/google/start?" + query.Encode()); status != 422 {
			t.Errorf("challenge %q: %d", challenge, status)
		}
	}
	query := url.Values{"redirect_uri": {waitsAt}, "code_challenge": {challenge}}
	if status, _, _ := a.get(a.url + "/api/auth/oidc/nobody/start?" + query.Encode()); status != 404 {
		t.Errorf("an unknown provider: %d", status)
	}
}

// An address proves nothing unless the provider has verified it, and even then
// takes nobody's account.
func TestAnAddressTakesNoAccount(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		a := newAbroadOn(t, db)
		owner := a.person(fleet.RoleRider)
		address := owner.id.String() + "@example.com"
		a.google.Seat(oidc.Person{Subject: "g-2", Email: address, EmailVerified: true})
		p := a.app("google")
		problem(t, p.exchange(p.code(), ""), 409, fleet.CodeLinkNeeded)
		for _, who := range []oidc.Person{
			{Subject: "g-3", Email: address}, {Subject: "g-4", Email: "new@example.com"},
			{Subject: "g-5", EmailVerified: true}, {Subject: "g-6", Email: "A <a@example.com>", EmailVerified: true},
		} {
			a.google.Seat(who)
			problem(t, p.exchange(p.code(), ""), 403, fleet.CodeForbidden)
		}

		a.google.Seat(oidc.Person{Subject: "g-2", Email: address, EmailVerified: true})
		body := map[string]string{"code": p.code(), "code_verifier": p.verifier}
		problem(t, owner.do("POST", "/api/auth/oidc/apple/link", map[string]string{"code": p.code(), "code_verifier": p.verifier}), 422, fleet.CodeInvalid)
		linked := as[Identity](t, owner.must(201, "POST", "/api/auth/oidc/google/link", body))
		problem(t, owner.do("POST", "/api/auth/oidc/google/link", body), 401, fleet.CodeUnauthenticated)
		if back := p.signIn(); back.id != owner.id {
			t.Error("linked, it signs somebody else in")
		}
		if kinds := a.notices(); !slices.Contains(kinds, "identity_linked") {
			t.Errorf("the owner is told of %v", kinds)
		}

		stranger := a.person(fleet.RoleRider)
		problem(t, stranger.do("POST", "/api/auth/oidc/google/link", map[string]string{"code": p.code(), "code_verifier": p.verifier}), 409, fleet.CodeConflict)
		problem(t, stranger.do("DELETE", "/api/auth/identities/"+linked.ID.String(), nil), 404, fleet.CodeNotFound)
		if items := string(stranger.must(200, "GET", "/api/auth/identities", nil).body); items != "{\"items\":[]}\n" {
			t.Errorf("a stranger sees %s", items)
		}
		// The owner has no password in this test, and so one way to sign in alone.
		problem(t, owner.do("DELETE", "/api/auth/identities/"+linked.ID.String(), nil), 409, fleet.CodeConflict)
		a.google.Seat(oidc.Person{Subject: "g-9", Email: "second@example.com"})
		owner.must(201, "POST", "/api/auth/oidc/google/link", map[string]string{"code": p.code(), "code_verifier": p.verifier})
		owner.must(204, "DELETE", "/api/auth/identities/"+linked.ID.String(), nil)
		if kinds := a.notices(); !slices.Contains(kinds, "identity_unlinked") {
			t.Errorf("the owner is told of %v", kinds)
		}
		items := string(owner.must(200, "GET", "/api/auth/identities", nil).body)
		if strings.Contains(items, linked.ID.String()) || !strings.Contains(items, "second@example.com") {
			t.Errorf("left is %s", items)
		}
		a.clock.Advance(11 * time.Minute)
		owner.renew()
		problem(t, owner.do("POST", "/api/auth/oidc/google/link", body), 403, fleet.CodeStaleSignIn)
	})
}

func (a *abroad) notices() (kinds []string) {
	a.t.Helper()
	list, err := schema.Notices{DB: a.db}.List(a.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, n := range list {
		kinds = append(kinds, n.Notice.Kind)
	}
	return kinds
}

// Somebody registers another's address beforehand, and waits for the owner to
// come by a provider.
func TestAnAccountThatNobodyProvedIsItsOwners(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	if err := a.people.Register(t.Context(), account.Registration{Email: "grace@example.com", Password: "the stranger's phrase", Name: "Mallory"}); err != nil {
		t.Fatal(err)
	}
	a.google.Seat(grace)
	me := as[User](t, a.app("google").signIn().must(200, "GET", "/api/users/me", nil))
	if me.Name != "Grace Vale" || !me.EmailVerified {
		t.Errorf("%+v", me)
	}
	var codes int
	if err := a.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM codes`).Scan(&codes); err != nil || codes != 0 {
		t.Errorf("%d codes could still put a stranger's password in force, %v", codes, err)
	}
	_, _, err := a.people.Login(t.Context(), account.Login{Email: "grace@example.com", Password: "the stranger's phrase"}, account.Where{})
	if fleet.CodeOf(err) != fleet.CodeUnauthenticated {
		t.Errorf("the stranger's password: %v", err)
	}
}

func TestSuspendedAndErasedPeopleDoNotSignInByAProvider(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	p := a.app("google")
	who := p.signIn()
	for _, column := range []string{"suspended", "erased"} {
		if _, err := a.db.Pool().Exec(t.Context(), `UPDATE users SET suspended = NULL, erased = NULL WHERE id = $1`, who.id); err != nil {
			t.Fatal(err)
		}
		if _, err := a.db.Pool().Exec(t.Context(), fmt.Sprintf(`UPDATE users SET %s = $2 WHERE id = $1`, column), who.id, a.clock.Now()); err != nil {
			t.Fatal(err)
		}
		problem(t, p.exchange(p.code(), ""), 401, fleet.CodeUnauthenticated)
	}
}

// A provider is one factor: who has a second one shows it as well, and a sign-in
// that asks for it is not used up by asking.
func TestASecondFactorIsAskedForAfterAProvider(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	p := a.app("google")
	who := p.signIn()
	secret := as[struct{ Secret string }](t, who.must(201, "POST", "/api/auth/totp", nil)).Secret
	otp := func() string {
		code, err := totp.GenerateCode(secret, a.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	who.must(200, "POST", "/api/auth/totp/confirm", map[string]string{"otp": otp()})
	a.clock.Advance(time.Minute)
	code := p.code()
	problem(t, p.exchange(code, ""), 401, fleet.CodeOTPNeeded)
	problem(t, p.exchange(code, "abcdef"), 401, fleet.CodeUnauthenticated)
	back := a.entered(p.exchange(code, otp()))
	if !strings.Contains(string(back.must(200, "GET", "/api/auth/sessions", nil).body), `"second_factor":true`) {
		t.Error("the session does not know of the second factor")
	}
	problem(t, p.exchange(code, otp()), 401, fleet.CodeUnauthenticated)
}

func TestAppsShowIDTokensOfTheirOwn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) { showIDTokens(t, newAbroadOn(t, db)) })
}

func showIDTokens(t *testing.T, a *abroad) {
	t.Helper()
	const nonce = "a nonce of the app's own"
	sum := sha256.Sum256([]byte(nonce))
	make := func(p *oidc.Provider, audience, nonce string, life time.Duration) string {
		token, err := p.Token(context.Background(), grace, audience, nonce, life)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	show := func(token, nonce string) string {
		text, err := json.Marshal(map[string]string{"id_token": token, "nonce": nonce})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := make(a.google, "phone", nonce, time.Hour)
	first := a.entered(a.token("google", show(good, nonce)))
	problem(t, a.token("google", show(good, nonce)), 401, fleet.CodeUnauthenticated)
	hashed := make(a.google, "hub", hex.EncodeToString(sum[:]), time.Hour)
	if again := a.entered(a.token("google", show(hashed, nonce))); again.id != first.id {
		t.Error("the same person is another")
	}
	parts := strings.Split(make(a.google, "phone", nonce, time.Hour), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for what, body := range map[string]string{
		"foreign audience":   show(make(a.google, "somebody-else", nonce, time.Hour), nonce),
		"another provider's": show(make(a.apple, "phone", nonce, time.Hour), nonce),
		"another nonce":      show(make(a.google, "phone", "another nonce, not the app's", time.Hour), nonce),
		"no nonce":           show(make(a.google, "phone", "", time.Hour), nonce),
		"expired":            show(make(a.google, "phone", nonce, -time.Minute), nonce),
		"unsigned":           show(none, nonce),
		"tampered":           show(parts[0]+"."+parts[1]+"x."+parts[2], nonce),
		"no token":           show("x", nonce),
		"an access token":    show(first.token, nonce),
	} {
		if got := a.token("google", body); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s %s", what, got.Status, got.body)
		}
	}
}

func TestAProviderThatIsAwayIsSaidToBe(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	p := a.app("google")
	answer := p.atProvider(p.begin())
	if err := a.google.Close(); err != nil {
		t.Fatal(err)
	}
	if _, back, _ := p.bring("google", answer); back.Query().Get("error") != "temporarily_unavailable" {
		t.Errorf("%s", back)
	}
	if err := a.apple.Close(); err != nil {
		t.Fatal(err)
	}
	query := url.Values{"redirect_uri": {waitsAt}, "code_challenge": {oauth2.S256ChallengeFromVerifier(p.verifier)}}
	if status, _, _ := a.get(a.url + "/api/auth/oidc/apple/start?" + query.Encode()); status != 503 {
		t.Errorf("start: %d", status)
	}
}

func TestNoSecretOfASignInIsInLogOrDatabase(t *testing.T) {
	t.Parallel()
	a := newAbroad(t)
	a.google.Seat(grace)
	p := a.app("google")
	location := p.begin()
	answer := p.atProvider(location)
	_, back, _ := p.bring("google", answer)
	var dump string
	if err := a.db.Pool().QueryRow(t.Context(), `SELECT string_agg(f::text || encode(secrets, 'escape') || encode(outcome, 'escape'), '') FROM oidc_flows f`).Scan(&dump); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{answer.Get("state"), answer.Get("code"), back.Query().Get("code"), target.Query().Get("nonce"), "grace@example.com", "s3cret"}
	a.stop()
	for _, secret := range secrets {
		if secret == "" || strings.Contains(dump, secret) || strings.Contains(a.log.String(), secret) {
			t.Errorf("%q is missing, or where it should not be", secret)
		}
	}
}
