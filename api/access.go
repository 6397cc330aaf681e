package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// The names of the security schemes in the OpenAPI document: of people, and of
// partners' systems.
const (
	bearerScheme  = "bearer"
	partnerScheme = "partner"
	guestScheme   = "guest"
)

// access says who may call an operation. Its security is written into the
// operation, where OpenAPI 3.1 takes role names, so that what is documented is
// what authorize enforces.
type access struct {
	security []map[string][]string
	fresh    bool
	apart    bool // see detached
	expired  bool // see late
	class    rateClass
	opens    fleet.Opens
}

// freshKey is where an operation says that it wants a fresh sign-in.
const freshKey = "x-armora-fresh-sign-in"

// detachedKey is where an operation says that it works while the database is away,
// and lateKey that it takes an access token that has expired.
const (
	detachedKey = "x-armora-detached"
	lateKey     = "x-armora-late-token"
)

// anyone opens an operation to people without credentials: only for what shows
// no data.
func anyone() access { return access{security: []map[string][]string{{}}} }

// only opens an operation to people with any of the roles.
func only(roles ...fleet.Role) access {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return access{security: []map[string][]string{{bearerScheme: names}}}
}

// signedIn opens an operation to every person who has signed in, whatever their
// role: for what is their own.
func signedIn() access { return only() }

// staff work for the platform.
func staff() access { return only(fleet.Staff()...) }

// ops may see and steer the fleet.
func ops() access { return only(fleet.RoleDispatcher, fleet.RoleAdmin) }

// admins may make and unmake what the fleet consists of.
func admins() access { return only(fleet.RoleAdmin) }

// scoped opens an operation, besides, to partners' systems that have all of the
// scopes.
func (a access) scoped(scopes ...fleet.Scope) access {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	a.security = append(slices.Clone(a.security), map[string][]string{partnerScheme: names})
	return a
}

// orGuests opens an operation, besides, to who holds a link to a trip.
func (a access) orGuests() access {
	a.security = append(slices.Clone(a.security), map[string][]string{guestScheme: {}})
	return a
}

// afresh asks those who may, for what a stolen phone must not do, to have proved
// who they are within account.FreshFor.
func (a access) afresh() access {
	a.fresh = true
	return a
}

// detached lets an operation work while the database is away: it takes no
// Idempotency-Key, since sent again it does no more, and is not recorded before it is
// carried out, since it keeps a record of its own.
func (a access) detached() access {
	a.apart = true
	return a
}

// late lets in, besides, whoever holds an access token that has expired no more than
// account.LateFor ago, of a session that lives: while the database is away nobody gets
// another.
func (a access) late() access {
	a.expired = true
	return a
}

// rated puts an operation into a class of its own for the limits on how often
// it may be called.
func (a access) rated(class rateClass) access {
	a.class = class
	return a
}

// ticketed lets in as well whoever shows a ticket for this in the URL: what a
// browser opens without headers. Other web sites have nothing to do there.
func (a access) ticketed(opens fleet.Opens) access {
	a.opens = opens
	return a
}

// route adds an operation. Its access is an argument of its own because there
// is no default.
func route[I, O any](s *Server, who access, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security, op.Extensions = who.security, map[string]any{}
	if who.fresh {
		op.Extensions[freshKey] = true
	}
	if who.apart {
		op.Extensions[detachedKey] = true
	}
	if who.expired {
		op.Extensions[lateKey] = true
	}
	if who.class != usual {
		op.Extensions[rateKey] = who.class
	}
	if who.opens != "" {
		op.Extensions[opensKey] = who.opens
	}
	if takesKey(&op) {
		parameter := keyParameter
		op.Parameters = append(op.Parameters, &parameter)
		op.Middlewares = append(op.Middlewares, s.once)
	}
	op.MaxBodyBytes = max(op.MaxBodyBytes, maxBody)
	// The body is in memory before huma sees it. The read deadline that huma
	// would set all the same would stay on the connection.
	op.BodyReadTimeout = -1
	huma.Register(s.huma, op, func(ctx context.Context, input *I) (*O, error) {
		if s.cfg.Handled != nil {
			s.cfg.Handled(ctx)
		}
		output, err := handle(ctx, input)
		return output, s.asProblem(ctx, err)
	})
}

type callerKey struct{}

// callerOf returns who a request comes from: nil on an operation that is open to
// anyone.
func callerOf(ctx context.Context) *account.Caller {
	caller, _ := ctx.Value(callerKey{}).(*account.Caller)
	return caller
}

// bootstrap is the name of the admin who was there before anybody.
const bootstrap = "bootstrap"

// open reports whether an operation is open to anyone.
func open(op *huma.Operation) bool { return len(op.Security) == 1 && len(op.Security[0]) == 0 }

// authorize lets a request through to its operation when its caller has one of
// the roles that the operation's Security names, and does not call too often.
// What staff ask to be changed is recorded first. An operation without Security is
// closed to everybody.
func (s *Server) authorize(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	var caller *account.Caller
	var refused error
	if !open(op) {
		if caller, refused = s.identify(ctx); refused == nil {
			refused = s.mayCall(caller, op)
		}
	}
	class, _ := op.Extensions[rateKey].(rateClass)
	if err := s.limit(ctx.Context(), caller, class); err != nil {
		refused = err // too many refused requests are too many as well
	}
	if refused == nil && caller != nil && op.Extensions[detachedKey] != true {
		refused = s.recordChange(ctx, caller)
	}
	if refused != nil {
		s.refuse(ctx, refused)
		return
	}
	if caller != nil {
		ctx = huma.WithValue(ctx, callerKey{}, caller)
	}
	next(ctx)
}

func (s *Server) mayCall(caller *account.Caller, op *huma.Operation) error {
	if !may(caller, op.Security) {
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "this needs another role"}
	}
	if op.Extensions[freshKey] == true && s.clock.Now().Sub(caller.Authenticated) > account.FreshFor {
		return &fleet.Error{Code: fleet.CodeStaleSignIn, Message: "this needs a fresh sign-in: prove who you are again"}
	}
	return nil
}

// refuse answers in place of the operation.
func (s *Server) refuse(ctx huma.Context, err error) {
	p, ok := errors.AsType[*Problem](s.asProblem(ctx.Context(), err))
	if !ok {
		return // asProblem makes nothing else of an error
	}
	p.RequestID = requestID(ctx.Context())
	for name, values := range p.GetHeaders() {
		ctx.SetHeader(name, values[0])
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if err := json.NewEncoder(ctx.BodyWriter()).Encode(p); err != nil {
		s.log.Warn("a refusal could not be written", "error", err)
	}
}

// may reports whether security, an operation's, lets the caller in. Without any
// role it lets in whoever is a person.
func may(caller *account.Caller, security []map[string][]string) bool {
	return slices.ContainsFunc(security, func(alternative map[string][]string) bool {
		if scopes, ok := alternative[partnerScheme]; ok {
			return len(scopes) > 0 && caller.Has(fleet.RolePartner) && !slices.ContainsFunc(scopes, func(scope string) bool {
				return !slices.Contains(caller.Scopes, fleet.Scope(scope))
			})
		}
		if _, ok := alternative[guestScheme]; ok {
			return caller.Share != nil
		}
		roles, ok := alternative[bearerScheme]
		if ok && len(roles) == 0 {
			return !caller.User.IsZero()
		}
		return slices.ContainsFunc(caller.Roles, func(r fleet.Role) bool { return slices.Contains(roles, string(r)) })
	})
}

// verifier says who holds an access token.
type verifier func(ctx context.Context, token string) (*account.Caller, error)

// verifierOf is who verifies the tokens of an operation's callers.
func (s *Server) verifierOf(op *huma.Operation) verifier {
	if op.Extensions[lateKey] == true {
		return s.cfg.Sessions.VerifyLate
	}
	return s.cfg.Sessions.Verify
}

// authenticate says who holds the token of an Authorization header.
func (s *Server) authenticate(ctx context.Context, header string) (*account.Caller, error) {
	return s.authenticateBy(ctx, header, s.cfg.Sessions.Verify)
}

func (s *Server) authenticateBy(ctx context.Context, header string, verify verifier) (*account.Caller, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return nil, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "a valid bearer token is needed"}
	}
	if s.admin.is(token) {
		return s.bootstrap(ctx)
	}
	caller, err := verify(ctx, token)
	if fleet.CodeOf(err) == fleet.CodeUnauthenticated {
		if guest, err := s.cfg.Shares.Verify(ctx, token); err == nil || fleet.CodeOf(err) == fleet.CodeUnavailable {
			return guest, err
		}
	}
	return caller, err
}

// bootstrap is the caller who holds the admin token. It is for a hub that has no
// admin yet.
func (s *Server) bootstrap(ctx context.Context) (*account.Caller, error) {
	if !s.cfg.AllowBootstrap {
		over, err := s.cfg.Directory.HasAdmin(ctx)
		if err != nil {
			return nil, err
		}
		if over {
			return nil, &fleet.Error{Code: fleet.CodeUnauthenticated,
				Message: "the admin token is not good any more, since a person is admin: sign in, or start the hub with --allow-bootstrap"}
		}
	}
	return &account.Caller{
		Name: bootstrap, Roles: []fleet.Role{fleet.RoleAdmin}, Authenticated: s.clock.Now(), SecondFactor: true,
	}, nil
}

// bearer is a token that is known by its hash.
type bearer struct {
	hash [sha256.Size]byte
	none bool
}

func newBearer(token string) *bearer {
	return &bearer{hash: sha256.Sum256([]byte(token)), none: token == ""}
}

// is compares in a time that tells nothing of the token, its length included.
func (b *bearer) is(token string) bool {
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(b.hash[:], hash[:]) == 1 && !b.none
}
