package account

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

const (
	// MaxShares is how many links of trips that have not ended a person may have.
	MaxShares = 20
	// maxShareLabel is the longest word for whom a link is, in bytes.
	maxShareLabel = 60
	// watchLife is how long a guest's token is good for; the link gives another.
	watchLife = 10 * time.Minute
)

// watchToken is the bearer token of a guest. It is good for watching one trip.
var watchToken = tokenUse{name: "watch token", typ: "watch+jwt", audience: "armora-watch"}

// SharesConfig is what Shares needs; all of it is required.
type SharesConfig struct {
	DB      *schema.DB
	Keyring *Keyring
	Keys    *Keys
	Bus     *bus.Bus
	Clock   fleet.Clock
	URL     string // of the page that a link opens
}

// Shares are the links by which principals let others watch a trip. A link's token
// is in its fragment, which no server is sent and no log holds; the page exchanges it
// for a token that is good for a little while. It is safe for concurrent use.
type Shares struct {
	store schema.Shares
	keys  *Keys
	bus   *bus.Bus
	url   string
	teller
}

// NewShares returns the shares of a hub.
func NewShares(cfg SharesConfig) *Shares {
	return &Shares{store: schema.Shares{DB: cfg.DB}, keys: cfg.Keys, bus: cfg.Bus, url: cfg.URL, teller: teller{cfg.Keyring, cfg.Clock}}
}

// Make makes a link to a trip of the caller's, which is told to all their sessions.
// The link is told this once and never again.
func (s *Shares) Make(ctx context.Context, caller *Caller, booking fleet.BookingID, label string, until fleet.ShareUntil) (share fleet.Share, link string, err error) {
	label = strings.TrimSpace(label)
	if len(label) > maxShareLabel || !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl) {
		return share, "", invalid("label is not up to %d bytes of text", maxShareLabel)
	}
	now := s.clock.Now()
	share = fleet.Share{ID: fleet.NewID[fleet.Share](), Booking: booking, User: caller.User, Label: label, Until: until, Created: now}
	switch until {
	case fleet.ShareHalfHour:
		share.Expires = now.Add(30 * time.Minute)
	case fleet.ShareHour:
		share.Expires = now.Add(time.Hour)
	case fleet.ShareArrival, fleet.ShareTrip:
	default:
		return share, "", invalid("until %q is none of the ends of a share", until)
	}
	token := newSecret(shareSecret)
	told := s.telling("share_made", map[string]string{"label": label, "at": now.UTC().Format(time.RFC3339)})
	return share, s.url + "#" + token, s.store.Add(ctx, share, s.hash(token), MaxShares, told)
}

func (s *Shares) hash(token string) []byte { return s.keyring.Hash("share " + token) }

// List returns the links to a trip of the user's, the newest first, and which of them
// let somebody watch.
func (s *Shares) List(ctx context.Context, user fleet.UserID, booking fleet.BookingID) ([]fleet.Share, map[fleet.ShareID]bool, error) {
	return s.store.Of(ctx, user, booking, s.clock.Now())
}

// Revoke ends a link to a trip of the user's. Who watches by it does so no more.
func (s *Shares) Revoke(ctx context.Context, user fleet.UserID, booking fleet.BookingID, id fleet.ShareID) error {
	if err := s.store.Revoke(ctx, user, booking, id, s.clock.Now()); err != nil {
		return err
	}
	s.bus.Shares.Publish(id)
	return nil
}

// Exchange gives whoever holds a link a token by which to watch, until it expires;
// the link gives another. What is no link, or lets nobody watch any more, is
// CodeUnauthenticated: which of them, nobody is told.
func (s *Shares) Exchange(ctx context.Context, token string) (access string, expires time.Time, share fleet.Share, err error) {
	share, err = s.store.Open(ctx, s.hash(token), s.clock.Now())
	if err != nil {
		return "", expires, share, closedShare(err)
	}
	life := watchLife
	if !share.Expires.IsZero() {
		life = max(time.Second, min(life, share.Expires.Sub(s.clock.Now())))
	}
	access, expires, err = s.keys.mint(&watchToken, claims{RegisteredClaims: jwt.RegisteredClaims{Subject: share.ID.String()}}, life)
	return access, expires, share, err
}

// Verify says who holds a guest's token, and fails as Sessions.Verify does.
func (s *Shares) Verify(ctx context.Context, token string) (*Caller, error) {
	c, err := s.keys.verify(&watchToken, token, 0)
	if err != nil {
		return nil, badToken(err)
	}
	id, err := fleet.ParseID[fleet.Share](c.Subject)
	if err != nil {
		return nil, badToken(err)
	}
	return s.caller(ctx, id, c.ExpiresAt.Time)
}

// Again is Sessions.Again of a guest.
func (s *Shares) Again(ctx context.Context, c *Caller) (*Caller, error) {
	return s.caller(ctx, c.Share.ID, c.Expires)
}

func (s *Shares) caller(ctx context.Context, id fleet.ShareID, expires time.Time) (*Caller, error) {
	now := s.clock.Now()
	share, err := s.store.Live(ctx, id, now)
	if err != nil {
		return nil, closedShare(err)
	}
	if !now.Before(expires) {
		return nil, badToken(nil)
	}
	if !share.Expires.IsZero() {
		expires = earlier(expires, share.Expires)
	}
	return &Caller{Name: "share/" + id.String(), Share: &share, Expires: expires}, nil
}

func closedShare(err error) error {
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return err
	}
	return &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "this link shows nothing, or not any more"}
}
