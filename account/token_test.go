package account

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// noon is when the tests' clocks start.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testKeys(t *testing.T, db *schema.DB, clock fleet.Clock, seed byte) *Keys {
	t.Helper()
	k := NewKeys(KeysConfig{
		DB: db, Keyring: testKeyring(t, seed), Clock: clock, Log: slog.New(slog.DiscardHandler), Issuer: "https://hub.test",
	})
	if err := k.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDeviceTokenIsGoodUntilItExpires(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(noon)
	keys := testKeys(t, schematest.Plain(t), clock, 1)
	device := fleet.NewID[fleet.Device]()
	token, expires, err := keys.MintDevice(device, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !expires.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("expires %v", expires)
	}
	got, err := keys.VerifyDevice(token)
	if err != nil || got.Device != device || !got.Expires.Equal(expires) || !got.Session.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	clock.Advance(10 * time.Minute)
	if _, err := keys.VerifyDevice(token); err == nil {
		t.Error("an expired token is good")
	}
	for _, ttl := range []time.Duration{-time.Second, 0, MaxTokenLife + 1} {
		if _, _, err := keys.MintDevice(device, ttl); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("a life of %v: %v", ttl, err)
		}
	}
}

// forged makes a token out of a good one's header and claims, changed.
func forged(t *testing.T, use *tokenUse, key signingKey, change func(header, claims map[string]any)) string {
	t.Helper()
	header := map[string]any{"alg": "EdDSA", "typ": use.typ, "kid": key.id}
	claims := map[string]any{
		"iss": "https://hub.test", "aud": use.audience, "sub": fleet.NewID[fleet.Device]().String(),
		"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
	change(header, claims)
	signed := part(t, header) + "." + part(t, claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key.private, []byte(signed)))
}

func part(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func TestForgedDeviceTokensAreRefused(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, schematest.Plain(t), fleet.NewManualClock(noon), 1)
	good, bad := forgeries(t, &deviceToken, keys.keys[0])
	if _, err := keys.VerifyDevice(good); err != nil {
		t.Fatalf("what the others are made of is not good: %v", err)
	}
	for name, token := range bad {
		if got, err := keys.VerifyDevice(token); err == nil {
			t.Errorf("%s: good for %+v", name, got)
		}
	}
}

func TestForgedAccessTokensAreRefused(t *testing.T) {
	t.Parallel()
	p := newPeople(t, schematest.Plain(t))
	session, _ := p.signIn(p.user(fleet.RoleRider), false)
	of := func(claims map[string]any) {
		if claims["sub"] != nil && claims["sub"] != "admin" {
			claims["sub"], claims["sid"] = session.User.String(), session.ID.String()
		}
	}
	good, bad := forgeries(t, &accessToken, p.keys.keys[0], of)
	if _, err := p.Verify(t.Context(), good); err != nil {
		t.Fatalf("what the others are made of is not good: %v", err)
	}
	bad["no session"] = forged(t, &accessToken, p.keys.keys[0], func(_, claims map[string]any) { claims["sub"] = session.User.String() })
	bad["unknown session"] = forged(t, &accessToken, p.keys.keys[0], func(_, claims map[string]any) {
		claims["sub"], claims["sid"] = session.User.String(), fleet.NewID[fleet.UserSession]().String()
	})
	for name, token := range bad {
		p.refused(token, name)
	}
}

// forgeries returns a token that is good and many that are not, each of which is
// the good one but for what its name says. finish completes their claims.
func forgeries(t *testing.T, use *tokenUse, key signingKey, finish ...func(claims map[string]any)) (good string, bad map[string]string) {
	t.Helper()
	craft := func(key signingKey, in string, name string, value any) string {
		return forged(t, use, key, func(header, claims map[string]any) {
			target := map[string]map[string]any{"header": header, "claims": claims}[in]
			if value == nil {
				delete(target, name)
			} else {
				target[name] = value
			}
			for _, f := range finish {
				f(claims)
			}
		})
	}
	set := func(in string, name string, value any) string { return craft(key, in, name, value) }
	other := accessToken
	if use == &accessToken {
		other = deviceToken
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good = set("claims", "x", 1)
	parts := strings.Split(good, ".")
	return good, map[string]string{
		"empty":            "",
		"dots":             "..",
		"huge":             strings.Repeat("a", maxTokenBytes+1),
		"no signature":     parts[0] + "." + parts[1] + ".",
		"other signature":  parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"other claims":     parts[0] + "." + part(t, map[string]any{"sub": "x"}) + "." + parts[2],
		"alg none":         part(t, map[string]any{"alg": "none", "typ": use.typ, "kid": key.id}) + "." + parts[1] + ".",
		"alg HS256":        hs256(t, use, key, parts[1]),
		"alg named RS256":  set("header", "alg", "RS256"),
		"other key":        craft(signingKey{id: key.id, private: stranger}, "claims", "x", 1),
		"unknown kid":      set("header", "kid", "x"),
		"no kid":           set("header", "kid", nil),
		"kid not a string": set("header", "kid", 1),
		"typ JWT":          set("header", "typ", "JWT"),
		"typ of other use": set("header", "typ", other.typ),
		"no typ":           set("header", "typ", nil),
		"other issuer":     set("claims", "iss", "https://other.test"),
		"no issuer":        set("claims", "iss", nil),
		"other audience":   set("claims", "aud", other.audience),
		"no audience":      set("claims", "aud", nil),
		"no expiry":        set("claims", "exp", nil),
		"expired":          set("claims", "exp", noon.Unix()),
		"lives too long":   set("claims", "exp", noon.Add(MaxTokenLife+time.Second).Unix()),
		"no issue time":    set("claims", "iat", nil),
		"from the future":  set("claims", "iat", noon.Add(time.Minute).Unix()),
		"not yet":          set("claims", "nbf", noon.Add(time.Minute).Unix()),
		"no subject":       set("claims", "sub", nil),
		"other subject":    set("claims", "sub", "admin"),
	}
}

// hs256 signs with the public key as if it were a shared secret.
func hs256(t *testing.T, use *tokenUse, key signingKey, claims string) string {
	t.Helper()
	signed := part(t, map[string]any{"alg": "HS256", "typ": use.typ, "kid": key.id}) + "." + claims
	mac := hmac.New(sha256.New, key.private.Public().(ed25519.PublicKey))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// A verifier that knows only the published key set accepts the hub's tokens.
func TestKeySetVerifiesTokensElsewhere(t *testing.T) {
	t.Parallel()
	keys := testKeys(t, schematest.Plain(t), fleet.NewManualClock(noon), 1)
	text, err := json.Marshal(keys.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"d"`) {
		t.Fatalf("the key set holds a private key: %s", text)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.MintDevice(fleet.NewID[fleet.Device](), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jwt.NewParser(jwt.WithTimeFunc(func() time.Time { return noon })).Parse(token, func(t *jwt.Token) (any, error) {
		found := set.Key(t.Header["kid"].(string))
		if len(found) != 1 || found[0].Use != "sig" || found[0].Algorithm != "EdDSA" {
			return nil, jwt.ErrTokenUnverifiable
		}
		return found[0].Key, nil
	})
	if err != nil {
		t.Errorf("%v with %s", err, text)
	}
}

func TestKeysAreReplacedWithOverlap(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(noon)
	db := schematest.Plain(t)
	keys := testKeys(t, db, clock, 1)
	other := testKeys(t, db, clock, 1) // another node
	first := keys.keys[0].id
	if len(other.keys) != 1 || other.keys[0].id != first {
		t.Fatalf("a second node made a key of its own: %v", other.keys)
	}
	device := fleet.NewID[fleet.Device]()

	clock.Advance(keyPeriod)
	if err := keys.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(keys.JWKS().Keys); n != 2 {
		t.Fatalf("%d keys are shown after a period, want 2", n)
	}
	old, _, err := keys.MintDevice(device, MaxTokenLife)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.VerifyDevice(old); err != nil {
		t.Errorf("the new key signs before the other node knows it: %v", err)
	}
	clock.Advance(keyLead)
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh, _, err := keys.MintDevice(device, MaxTokenLife)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"old": old, "new": fresh} {
		if _, err := other.VerifyDevice(token); err != nil {
			t.Errorf("the %s key's token: %v", name, err)
		}
	}
	if signer := kidOf(t, fresh); signer == first {
		t.Error("the old key still signs")
	}
	clock.Advance(keyLife)
	for _, key := range keys.JWKS().Keys {
		if key.KeyID == first {
			t.Error("a retired key is still shown")
		}
	}
	// A hub that was off for longer than any key lives starts with a new one.
	late := testKeys(t, db, clock, 1)
	if _, _, err := late.MintDevice(device, time.Minute); err != nil {
		t.Errorf("after a long rest: %v", err)
	}
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string)
}

func TestKeysOfAnotherSecretAreOneClearError(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	testKeys(t, db, fleet.NewManualClock(noon), 1)
	stranger := NewKeys(KeysConfig{
		DB: db, Keyring: testKeyring(t, 2), Clock: fleet.NewManualClock(noon), Log: slog.New(slog.DiscardHandler), Issuer: "x",
	})
	if err := stranger.Open(t.Context()); err == nil || !strings.Contains(err.Error(), secretFile) {
		t.Errorf("got %v", err)
	}
}

func TestRunMakesTheNextKeyWhenItIsDue(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(noon)
	keys := testKeys(t, schematest.Plain(t), clock, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); keys.Run(ctx) }()
	waitForTimer(t, clock)
	clock.Advance(keyPeriod)
	waitForTimer(t, clock) // it has gone round
	if n := len(keys.JWKS().Keys); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	cancel()
	<-done
}

// waitForTimer returns when the code under test waits for the clock.
func waitForTimer(t *testing.T, clock *fleet.ManualClock) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for clock.Waiting() == 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("nobody waits for the clock")
		}
	}
}
