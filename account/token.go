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

// What a device's token says about itself, besides its device and its times:
// a token made for another purpose opens no MQTT session, nor this one
// anything else.
const (
	deviceTokenType     = "device+jwt"
	deviceTokenAudience = "armora-device"
)

// maxTokenBytes bounds the work that an unauthenticated token can cause.
const maxTokenBytes = 4096

// MintDevice returns a token by which the device may log in for ttl, at most
// MaxTokenLife, and the moment at which it expires.
func (k *Keys) MintDevice(device fleet.DeviceID, ttl time.Duration) (token string, expires time.Time, err error) {
	if ttl < time.Second || ttl > MaxTokenLife {
		return "", time.Time{}, invalid("a token lives between 1 s and %v, not %v", MaxTokenLife, ttl)
	}
	key, err := k.signing()
	if err != nil {
		return "", time.Time{}, err
	}
	now := k.clock.Now()
	expires = now.Add(ttl).Truncate(time.Second) // as the claim has it
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		Issuer:    k.issuer,
		Subject:   device.String(),
		Audience:  jwt.ClaimStrings{deviceTokenAudience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(expires),
		ID:        newKeyID(),
	})
	unsigned.Header["kid"] = key.id
	unsigned.Header["typ"] = deviceTokenType
	token, err = unsigned.SignedString(key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a device token: %w", err)
	}
	return token, expires, nil
}

// VerifyDevice returns whose token it is and when it expires. Algorithm,
// issuer, audience, type and both times are pinned. The error is for logs: it
// never holds the token.
func (k *Keys) VerifyDevice(token string) (device fleet.DeviceID, expires time.Time, err error) {
	if len(token) > maxTokenBytes {
		return device, expires, fmt.Errorf("a token of %d bytes is longer than %d", len(token), maxTokenBytes)
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithIssuer(k.issuer),
		jwt.WithAudience(deviceTokenAudience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(k.clock.Now),
		jwt.WithStrictDecoding(),
	).ParseWithClaims(token, &claims, k.keyFor(deviceTokenType))
	if err != nil {
		return device, expires, fmt.Errorf("device token: %w", err)
	}
	if claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > MaxTokenLife {
		return device, expires, errors.New("device token: it does not say when it was issued, or lives too long")
	}
	device, err = fleet.ParseID[fleet.Device](claims.Subject)
	return device, claims.ExpiresAt.Time, err
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
