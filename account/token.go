package account

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"armora/fleet"
)

// MaxTokenLife is the longest that a token may be good for. A token cannot be
// taken back one by one, so it is short.
const MaxTokenLife = time.Hour

// tokenUse is what a kind of token says about itself, besides its subject and
// its times: a token made for one use opens nothing else.
type tokenUse struct {
	name     string // in errors
	typ      string // in the header
	audience string
}

var (
	// deviceToken is a device's password over MQTT.
	deviceToken = tokenUse{name: "device token", typ: "device+jwt", audience: "armora-device"}
	// accessToken is the bearer token of the API (RFC 9068).
	accessToken = tokenUse{name: "access token", typ: "at+jwt", audience: "armora-api"}
)

// maxTokenBytes bounds the work that an unauthenticated token can cause.
const maxTokenBytes = 4096

// claims are those of every token. A token of a session says which.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid,omitempty"`
	Client  string `json:"client_id,omitempty"`
	Scope   string `json:"scope,omitempty"`
}

// mint signs a token for ttl from now and returns the moment at which it
// expires. It fills in all claims but the subject and those of its use.
func (k *Keys) mint(use *tokenUse, c claims, ttl time.Duration) (token string, expires time.Time, err error) {
	if ttl < time.Second || ttl > MaxTokenLife {
		return "", time.Time{}, invalid("a token lives between 1 s and %v, not %v", MaxTokenLife, ttl)
	}
	key, err := k.signing()
	if err != nil {
		return "", time.Time{}, err
	}
	now := k.clock.Now()
	expires = now.Add(ttl).Truncate(time.Second) // as the claim has it
	c.Issuer, c.Audience = k.issuer, jwt.ClaimStrings{use.audience}
	c.IssuedAt, c.ExpiresAt, c.ID = jwt.NewNumericDate(now), jwt.NewNumericDate(expires), newKeyID()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	unsigned.Header["kid"] = key.id
	unsigned.Header["typ"] = use.typ
	token, err = unsigned.SignedString(key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a %s: %w", use.name, err)
	}
	return token, expires, nil
}

// verify returns what a token says. Algorithm, issuer, audience, type and both
// times are pinned; it may have expired for as long as late. The error is for logs: it never holds the token.
func (k *Keys) verify(use *tokenUse, token string, late time.Duration) (c claims, err error) {
	if len(token) > maxTokenBytes {
		return c, fmt.Errorf("a token of %d bytes is longer than %d", len(token), maxTokenBytes)
	}
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithIssuer(k.issuer),
		jwt.WithAudience(use.audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(k.clock.Now),
		jwt.WithLeeway(late),
		jwt.WithStrictDecoding(),
	).ParseWithClaims(token, &c, k.keyFor(use.typ))
	if err != nil {
		return c, fmt.Errorf("%s: %w", use.name, err)
	}
	if c.IssuedAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) > MaxTokenLife {
		return c, errors.New(use.name + ": it does not say when it was issued, or lives too long")
	}
	return c, nil
}

// keyFor finds the key of a token of the given type.
func (k *Keys) keyFor(tokenType string) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != tokenType {
			return nil, fmt.Errorf("its type is not %s", tokenType)
		}
		id, _ := t.Header["kid"].(string)
		return k.verifying(id)
	}
}

// MintDevice returns a token by which the device may log in for ttl, at most
// MaxTokenLife, and the moment at which it expires. It is good while the device
// holds a credential.
func (k *Keys) MintDevice(device fleet.DeviceID, ttl time.Duration) (token string, expires time.Time, err error) {
	return k.mint(&deviceToken, claims{RegisteredClaims: jwt.RegisteredClaims{Subject: device.String()}}, ttl)
}

// mintPhone is MintDevice for a phone that was enrolled by signing in: the token
// is good while the session lives.
func (k *Keys) mintPhone(device fleet.DeviceID, session fleet.UserSessionID, ttl time.Duration) (token string, expires time.Time, err error) {
	return k.mint(&deviceToken, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: device.String()}, Session: session.String(),
	}, ttl)
}

// VerifyDevice returns whose token it is, of which session, if any, and when it
// expires. The error is for logs: it never holds the token.
func (k *Keys) VerifyDevice(token string) (t DeviceToken, err error) {
	c, err := k.verify(&deviceToken, token, 0)
	if err != nil {
		return t, err
	}
	if t.Device, err = fleet.ParseID[fleet.Device](c.Subject); err != nil {
		return t, err
	}
	if c.Session != "" {
		t.Session, err = fleet.ParseID[fleet.UserSession](c.Session)
	}
	t.Expires = c.ExpiresAt.Time
	return t, err
}

// DeviceToken is what a device's token says.
type DeviceToken struct {
	Device  fleet.DeviceID
	Session fleet.UserSessionID // zero: of none
	Expires time.Time
}
