package account

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// Partners are the systems of partners, which come in with a secret of their
// own (OAuth2 client credentials) and see what their scopes say.
type Partners struct {
	store   schema.Partners
	keyring *Keyring
	keys    *Keys
	bus     *bus.Bus
	clock   fleet.Clock
}

// NewPartners returns the partners of a hub.
func NewPartners(db *schema.DB, keyring *Keyring, keys *Keys, b *bus.Bus, clock fleet.Clock) *Partners {
	return &Partners{store: schema.Partners{DB: db}, keyring: keyring, keys: keys, bus: b, clock: clock}
}

// Create adds a partner and returns its secret, told this once.
func (p *Partners) Create(ctx context.Context, name string, scopes []fleet.Scope) (fleet.Partner, string, error) {
	now := p.clock.Now()
	secret := newSecret(partnerSecret)
	partner := fleet.Partner{ID: fleet.NewID[fleet.Partner](), Name: name, Scopes: scopes, Created: now, Rotated: now}
	return partner, secret, p.store.Create(ctx, partner, p.keyring.Hash(secret))
}

// List returns up to limit partners with ids after the given one.
func (p *Partners) List(ctx context.Context, after fleet.PartnerID, limit int) ([]fleet.Partner, error) {
	return p.store.List(ctx, after, limit)
}

// Rotate gives a partner a new secret, told this once. The one before is good
// for the overlap.
func (p *Partners) Rotate(ctx context.Context, id fleet.PartnerID, overlap time.Duration) (secret string, err error) {
	now := p.clock.Now()
	secret = newSecret(partnerSecret)
	return secret, p.store.Rotate(ctx, id, p.keyring.Hash(secret), now.Add(overlap), now)
}

// Revoke shuts a partner out for good; its tokens end at once.
func (p *Partners) Revoke(ctx context.Context, id fleet.PartnerID) error {
	if err := p.store.Revoke(ctx, id, p.clock.Now()); err != nil {
		return err
	}
	p.bus.Partners.Publish(id)
	return nil
}

// Issued is what a partner's system goes on with.
type Issued struct {
	Access  string
	Expires time.Time
	Scope   string // what it may do, as OAuth2 writes it
}

// Token makes an access token for a partner that shows its secret, with the
// scopes that it wants; with all of its own if it wants none. An unknown id and
// a wrong secret are CodeUnauthenticated alike, a scope that it has not CodeInvalid.
func (p *Partners) Token(ctx context.Context, id, secret string, wanted []fleet.Scope) (Issued, error) {
	refused := &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "unknown client, or wrong secret"}
	client, err := fleet.ParseID[fleet.Partner](id)
	if err != nil {
		return Issued{}, refused
	}
	partner, err := p.store.BySecret(ctx, client, p.keyring.Hash(secret), p.clock.Now())
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return Issued{}, refused
	}
	if err != nil {
		return Issued{}, err
	}
	granted, ok := partner.Grant(wanted)
	if !ok {
		return Issued{}, invalid("the client has not all of these scopes")
	}
	token, expires, err := p.keys.mint(&accessToken, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: partner.ID.String()},
		Client:           partner.ID.String(), Scope: joinScopes(granted),
	}, AccessLife)
	return Issued{Access: token, Expires: expires, Scope: joinScopes(granted)}, err
}

func joinScopes(scopes []fleet.Scope) string {
	words := make([]string, len(scopes))
	for i, scope := range scopes {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// partner says which partner holds an access token, and what it may do: what the
// token says, as far as the partner still has it.
func (s *Sessions) partner(ctx context.Context, c *claims) (*Caller, error) {
	id, err := fleet.ParseID[fleet.Partner](c.Client)
	if err != nil || c.Subject != c.Client {
		return nil, badToken(err)
	}
	partner, _, err := s.partners.get(ctx, string(id[:]))
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil, badToken(err)
	}
	if err != nil {
		return nil, err
	}
	if !partner.Revoked.IsZero() {
		return nil, badToken(nil)
	}
	caller := &Caller{Name: c.Client, Roles: []fleet.Role{fleet.RolePartner}}
	for word := range strings.FieldsSeq(c.Scope) {
		if slices.Contains(partner.Scopes, fleet.Scope(word)) {
			caller.Scopes = append(caller.Scopes, fleet.Scope(word))
		}
	}
	return caller, nil
}
