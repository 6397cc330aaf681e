package account

import (
	"context"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

const (
	// AccessLife is how long an access token is good for. What its session may
	// do is looked up when it is shown, and so what was taken away is gone at once.
	AccessLife = 10 * time.Minute
	// SessionLife is how long a session lasts that is not ended.
	SessionLife = 90 * 24 * time.Hour
	// FreshFor is how long after a person has proved who they are they need not
	// do so again for what a stolen phone must not do.
	FreshFor = 10 * time.Minute
)

// Caller is who a request comes from.
type Caller struct {
	Name          string              // in the audit log: the user's id, "bootstrap", a partner's client id
	User          fleet.UserID        // zero for a partner and the bootstrap admin
	Session       fleet.UserSessionID // likewise
	Roles         []fleet.Role        // in which the caller may act now
	Scopes        []fleet.Scope       // of a partner
	Authenticated time.Time           // when they last proved who they are
	SecondFactor  bool
	Expires       time.Time    // of the token that they showed; zero: never
	Share         *fleet.Share // of a guest, who is nobody but who holds a link
}

// Has reports whether the caller may act in one of the roles.
func (c *Caller) Has(roles ...fleet.Role) bool {
	return slices.ContainsFunc(c.Roles, func(r fleet.Role) bool { return slices.Contains(roles, r) })
}

// SessionsConfig is what Sessions needs. All but Metrics is required.
type SessionsConfig struct {
	DB      *schema.DB
	Keyring *Keyring
	Keys    *Keys
	Bus     *bus.Bus
	Clock   fleet.Clock
	Metrics prometheus.Registerer
}

// Sessions are the sign-ins of people. It is safe for concurrent use.
type Sessions struct {
	store       schema.UserSessions
	tokens      schema.RefreshTokens
	keys        *Keys
	bus         *bus.Bus
	signedIn    *lookups[schema.SignedIn] // by session id
	partners    *lookups[fleet.Partner]   // by partner id
	unsubscribe []func()
	teller      // with the keyring and the clock
}

// NewSessions returns the sessions of a hub. Close it to leave the bus.
func NewSessions(cfg SessionsConfig) (*Sessions, error) {
	answers, err := newSessionMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Sessions{
		store: schema.UserSessions{DB: cfg.DB}, tokens: schema.RefreshTokens{DB: cfg.DB},
		keys: cfg.Keys, bus: cfg.Bus, teller: teller{cfg.Keyring, cfg.Clock},
	}
	turns, partners := semaphore.NewWeighted(lookupConcurrency), schema.Partners{DB: cfg.DB}
	s.signedIn = newLookups(cfg.Clock, turns, countLookups(answers, "session"),
		func(ctx context.Context, id string) (schema.SignedIn, error) {
			return s.store.SignedIn(ctx, fleet.UserSessionID([]byte(id)))
		})
	s.partners = newLookups(cfg.Clock, turns, countLookups(answers, "partner"),
		func(ctx context.Context, id string) (fleet.Partner, error) {
			return partners.Get(ctx, fleet.PartnerID([]byte(id)))
		})
	s.unsubscribe = []func(){
		cfg.Bus.Sessions.Subscribe(s.forget),
		cfg.Bus.Partners.Subscribe(func(id fleet.PartnerID) { s.partners.forget(string(id[:])) }),
	}
	return s, nil
}

// Close leaves the bus. It may be called more than once.
func (s *Sessions) Close() {
	for _, leave := range s.unsubscribe {
		leave()
	}
}

func (s *Sessions) forget(id fleet.UserSessionID) { s.signedIn.forget(string(id[:])) }

// SignIn is how a person has just proved who they are.
type SignIn struct {
	User         fleet.UserID
	Method       fleet.SignInMethod
	SecondFactor bool
	Where
	Proved time.Time // when; zero: now

	password string // the hash of the password that they have shown; "": another proof
}

// Where is from where somebody signs in.
type Where struct {
	Agent   string // as the app or browser calls itself
	Address string // of the peer
}

// shorten keeps of an agent's name what says something to a person.
func shorten(agent string) string {
	const longest = 200
	return agent[:min(len(agent), longest)]
}

// Tokens are what a person's app goes on with.
type Tokens struct {
	Access  string
	Expires time.Time // of Access
	Refresh string    // good once, for the next ones
	Session fleet.UserSession
}

// refreshGrace is for how long a refresh token that was used may be shown again,
// by an app that the answer did not reach.
const refreshGrace = 10 * time.Second

// Begin begins a session for a person who has proved who they are. If they have signed
// in before, and never from this app or this address, they are told. If they may not
// sign in any more, or not by what they have shown, that is errBadLogin.
func (s *Sessions) Begin(ctx context.Context, in SignIn) (Tokens, error) {
	begun, refresh := s.begun(in)
	err := s.tokens.Begin(ctx, begun)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		err = errBadLogin
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.mint(begun.UserSession, refresh)
}

// begun makes the session of a sign-in, with its first refresh token.
func (s *Sessions) begun(in SignIn) (begun schema.NewSession, refresh string) {
	now := s.clock.Now()
	if in.Proved.IsZero() {
		in.Proved = now
	}
	refresh = newSecret(refreshSecret)
	session := fleet.UserSession{
		ID: fleet.NewID[fleet.UserSession](), User: in.User, Method: in.Method, SecondFactor: in.SecondFactor,
		Agent: shorten(in.Agent), Address: in.Address,
		Created: now, Authenticated: in.Proved, Used: now, Expires: now.Add(SessionLife),
	}
	unfamiliar := s.telling("new_sign_in", map[string]string{
		"at": now.UTC().Format(time.RFC3339), "agent": session.Agent, "address": session.Address, "method": string(session.Method),
	})
	return schema.NewSession{UserSession: session, Token: s.keyring.Hash(refresh), Password: in.password, Unfamiliar: unfamiliar}, refresh
}

// Refresh exchanges a refresh token for new tokens. See schema.RefreshTokens for
// which are good; one that is not is CodeUnauthenticated, and ends its session
// if it ever was.
func (s *Sessions) Refresh(ctx context.Context, token string) (Tokens, error) {
	next := newSecret(refreshSecret)
	rotation, err := s.tokens.Rotate(ctx, s.keyring.Hash(token), s.keyring.Hash(next), refreshGrace, s.clock.Now())
	if rotation.Reused && err == nil {
		s.tell([]fleet.UserSessionID{rotation.Session.ID})
	}
	if rotation.Reused || fleet.CodeOf(err) == fleet.CodeNotFound {
		return Tokens{}, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "this session is over: sign in again"}
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.mint(rotation.Session, next)
}

func (s *Sessions) mint(session fleet.UserSession, refresh string) (Tokens, error) {
	access, expires, err := s.keys.mint(&accessToken, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: session.User.String()}, Session: session.ID.String(),
	}, AccessLife)
	return Tokens{Access: access, Expires: expires, Refresh: refresh, Session: session}, err
}

// Prove notes that the person of a session has proved who they are just now.
func (s *Sessions) Prove(ctx context.Context, user fleet.UserID, id fleet.UserSessionID, secondFactor bool) error {
	if err := s.store.Prove(ctx, user, id, secondFactor, s.clock.Now()); err != nil {
		return err
	}
	s.forget(id)
	return nil
}

// Verify says who holds an access token. It fails with CodeUnauthenticated, or
// with CodeUnavailable when the database, being away, would have to be asked. A
// role that needs a second factor is the caller's only if the session has one.
func (s *Sessions) Verify(ctx context.Context, token string) (*Caller, error) {
	c, err := s.keys.verify(&accessToken, token, 0)
	if err != nil {
		return nil, badToken(err)
	}
	if c.Session == "" {
		partner, err := s.partner(ctx, &c)
		if err == nil {
			partner.Expires = c.ExpiresAt.Time
		}
		return partner, err
	}
	return s.person(ctx, &c)
}

// LateFor is for how long after it has expired an access token still opens what may
// be asked for in an emergency.
const LateFor = 24 * time.Hour

// VerifyLate is Verify for a person in an emergency: the token may have expired, no
// more than LateFor ago, since their app may have had no way to get another. The
// session must live.
func (s *Sessions) VerifyLate(ctx context.Context, token string) (*Caller, error) {
	c, err := s.keys.verify(&accessToken, token, LateFor)
	if err != nil || c.Session == "" {
		return s.Verify(ctx, token)
	}
	return s.person(emergency(ctx), &c)
}

// person says who is signed in by the session of a token.
func (s *Sessions) person(ctx context.Context, c *claims) (*Caller, error) {
	id, err := fleet.ParseID[fleet.UserSession](c.Session)
	if err != nil {
		return nil, badToken(err)
	}
	caller, err := s.caller(ctx, id)
	if err == nil && caller.User.String() != c.Subject {
		err = badToken(nil)
	}
	if err != nil {
		return nil, err
	}
	caller.Expires = c.ExpiresAt.Time
	return caller, nil
}

// Again says who a caller is now: what was taken from them since they were let in
// is gone. It fails as Verify does.
func (s *Sessions) Again(ctx context.Context, c *Caller) (*Caller, error) {
	if c.Session.IsZero() {
		return c, nil // the bootstrap admin
	}
	if !c.Expires.IsZero() && !s.clock.Now().Before(c.Expires) {
		return nil, badToken(nil)
	}
	now, err := s.caller(ctx, c.Session)
	if err == nil {
		now.Expires = c.Expires
	}
	return now, err
}

// caller says who is signed in by a session, and fails as Verify does.
func (s *Sessions) caller(ctx context.Context, id fleet.UserSessionID) (*Caller, error) {
	found, _, err := s.signedIn.get(ctx, string(id[:]))
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil, badToken(err)
	}
	if err != nil {
		return nil, err
	}
	session := &found.Session
	if found.Suspended || !session.Live(s.clock.Now()) {
		return nil, badToken(nil)
	}
	caller := &Caller{
		Name: session.User.String(), User: session.User, Session: session.ID,
		Authenticated: session.Authenticated, SecondFactor: session.SecondFactor,
	}
	for _, role := range found.Roles {
		if session.SecondFactor || !role.NeedsSecondFactor() {
			caller.Roles = append(caller.Roles, role)
		}
	}
	return caller, nil
}

// List returns a user's live sessions, the newest first.
func (s *Sessions) List(ctx context.Context, user fleet.UserID) ([]fleet.UserSession, error) {
	return s.store.Live(ctx, user, s.clock.Now())
}

// End ends one session of a user and all that it opened.
func (s *Sessions) End(ctx context.Context, user fleet.UserID, id fleet.UserSessionID, why fleet.EndReason) error {
	if err := s.store.End(ctx, user, id, why, s.clock.Now()); err != nil {
		return err
	}
	s.tell([]fleet.UserSessionID{id})
	return nil
}

// EndAll ends a user's sessions but one, which may be zero, and all that they
// opened.
func (s *Sessions) EndAll(ctx context.Context, user fleet.UserID, but fleet.UserSessionID, why fleet.EndReason) error {
	ended, err := s.store.EndAll(ctx, user, but, why, s.clock.Now())
	if err != nil {
		return err
	}
	s.tell(ended)
	return nil
}

// tell ends all that sessions have opened. Each is forgotten first: who is
// disconnected by the news comes straight back.
func (s *Sessions) tell(ended []fleet.UserSessionID) {
	for _, id := range ended {
		s.forget(id)
		s.bus.Sessions.Publish(id)
	}
}

// changed tells that a person's account opens other doors than before, or none.
func (s *Sessions) changed(user fleet.UserID, ended []fleet.UserSessionID) {
	s.tell(ended)
	s.bus.Accounts.Publish(user)
}

func badToken(cause error) error {
	return &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "a valid bearer token is needed", Err: cause}
}
