package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
)

// bearerScheme is the security scheme's name in the OpenAPI document.
const bearerScheme = "bearer"

// access says who may call an operation. It is written into the operation's
// Security, where OpenAPI 3.1 takes role names, so that what is documented is
// what authorize enforces.
type access []map[string][]string

// anyone opens an operation to people without credentials: only for what shows
// no data.
func anyone() access { return access{{}} }

// only opens an operation to people with any of the roles.
func only(roles ...account.Role) access {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return access{{bearerScheme: names}}
}

// ops may see and steer the fleet.
func ops() access { return only(account.Dispatcher, account.Admin) }

// admins may make and unmake what the fleet consists of.
func admins() access { return only(account.Admin) }

// route adds an operation. Its access is an argument of its own because there
// is no default.
func route[I, O any](s *Server, who access, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security = who
	op.MaxBodyBytes = maxBody
	// The body is in memory before huma sees it. The read deadline that huma
	// would set all the same would stay on the connection.
	op.BodyReadTimeout = -1
	huma.Register(s.huma, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handle(ctx, input)
		return output, s.asProblem(ctx, err)
	})
}

// caller is who a request comes from.
type caller struct {
	name  string
	roles []account.Role
}

// authorize lets a request through to its operation when its caller has one of
// the roles that the operation's Security names. An operation without Security
// is closed to everybody.
func (s *Server) authorize(ctx huma.Context, next func(huma.Context)) {
	security := ctx.Operation().Security
	if len(security) == 1 && len(security[0]) == 0 {
		next(ctx)
		return
	}
	from, ok := s.authenticate(ctx.Header("Authorization"))
	if !ok {
		s.refuse(ctx, http.StatusUnauthorized, "a valid bearer token is needed")
		return
	}
	if !from.may(security) {
		s.refuse(ctx, http.StatusForbidden, "this needs another role")
		return
	}
	next(ctx)
}

func (s *Server) refuse(ctx huma.Context, status int, detail string) {
	p := newProblem(status, detail)
	if headers, ok := p.(huma.HeadersError); ok {
		for name, values := range headers.GetHeaders() {
			ctx.SetHeader(name, values[0])
		}
	}
	if err := huma.WriteErr(s.huma, ctx, status, detail); err != nil {
		s.log.Warn("a refusal could not be written", "error", err)
	}
}

func (c *caller) may(security access) bool {
	return slices.ContainsFunc(security, func(alternative map[string][]string) bool {
		return slices.ContainsFunc(c.roles, func(r account.Role) bool {
			return slices.Contains(alternative[bearerScheme], string(r))
		})
	})
}

// authenticate says who holds the token of an Authorization header.
func (s *Server) authenticate(header string) (*caller, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || !s.admin.is(token) {
		return nil, false
	}
	return &caller{name: "bootstrap", roles: []account.Role{account.Admin}}, true
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
