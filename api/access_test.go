package api

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"armora/account"
	"armora/fleet"
)

// openPaths are all that may be seen without a token. None shows data.
var openPaths = []string{"/healthz", "/readyz", "/openapi.json", "/docs", "/.well-known/jwks.json", "/contact", "/watch", "/pay", "/paid", "/api/auth/oidc", "/api/consents"}

// doors may be knocked at by people without a token. Without a body, or a name in the
// path, they do nothing.
var doors = []string{
	"/api/auth/register", "/api/auth/verify-email", "/api/auth/login", "/api/auth/refresh",
	"/api/auth/forgot-password", "/api/auth/reset-password",
	"/api/contacts/opt-in", "/api/contacts/opt-out",
	"/api/auth/oidc/{provider}/start", "/api/auth/oidc/{provider}/callback", "/api/auth/oidc/exchange", "/api/auth/oidc/{provider}/token",
	"/api/auth/token", "/api/consents/{kind}/{version}", "/api/payments/webhook", "/api/shares/exchange",
}

// document is what the tests read of the OpenAPI document.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		Security []map[string][]string
	}
}

func (h *hub) document() document {
	h.t.Helper()
	a := h.send(h.anonymous(http.MethodGet, "/openapi.json"))
	if a.StatusCode != http.StatusOK {
		h.t.Fatalf("openapi.json: %s", a.Status)
	}
	return as[document](h.t, a)
}

func (h *hub) anonymous(method, path string) *http.Request {
	r := h.request(method, path, nil)
	r.Header.Del("Authorization")
	return r
}

// concrete fills the variables of a path.
func concrete(path string) string {
	return pathVariable.ReplaceAllStringFunc(path, func(string) string { return fleet.NewID[fleet.Device]().String() })
}

var pathVariable = regexp.MustCompile(`\{[a-zA-Z]+\}`)

func TestEveryDocumentedRouteIsClosedButTheListed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	doc := h.document()
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the document is OpenAPI %s, want 3.1", doc.OpenAPI)
	}
	routes := 0
	for path, operations := range doc.Paths {
		for method := range operations {
			routes++
			method = strings.ToUpper(method)
			if slices.Contains(openPaths, path) {
				if a := h.send(h.anonymous(method, concrete(path))); a.StatusCode != http.StatusOK {
					t.Errorf("%s %s: %s, want 200 for anyone", method, path, a.Status)
				}
				continue
			}
			if slices.Contains(doors, path) {
				a := h.send(h.anonymous(method, concrete(path)))
				if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusUnprocessableEntity && a.StatusCode != http.StatusNotFound {
					t.Errorf("%s %s: %s: without anything it does something", method, path, a.Status)
				}
				continue
			}
			for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + adminToken, adminToken} {
				r := h.anonymous(method, concrete(path))
				r.Header.Set("Authorization", header)
				a := h.send(r)
				problem(t, a, http.StatusUnauthorized, fleet.CodeUnauthenticated)
				if a.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s %s: 401 without WWW-Authenticate", method, path)
				}
			}
		}
	}
	if routes < 20 {
		t.Errorf("the document has only %d operations", routes)
	}
}

// A route that Fiber knows and the document does not would be passed over by
// the test above.
func TestEveryFiberRouteIsDocumentedOrListed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	doc := h.document()
	for _, r := range h.app.GetRoutes(true) {
		path := fiberVariable.ReplaceAllString(r.Path, "{$1}")
		if _, documented := doc.Paths[path]; !documented && !slices.Contains(openPaths, path) && path != "/docs/{file}" && path != "/contact/{file}" && path != "/watch/{file}" && path != "/pay/{file}" {
			t.Errorf("%s %s is neither documented nor listed as open", r.Method, r.Path)
		}
	}
}

var fiberVariable = regexp.MustCompile(`:([a-zA-Z]+)`)

// A path with a name where an earlier one takes any id would never be reached.
func TestNoRouteIsHiddenByAnother(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var earlier []fiber.Route
	for _, r := range h.app.GetRoutes(true) {
		for _, e := range earlier {
			if e.Method == r.Method && e.Path != r.Path && hides(e.Path, r.Path) {
				t.Errorf("%s %s is hidden by %s: add it before", r.Method, r.Path, e.Path)
			}
		}
		earlier = append(earlier, r)
	}
}

// hides reports whether every request for a path fits an earlier one too.
func hides(earlier, path string) bool {
	a, b := strings.Split(earlier, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], ":") {
			return false
		}
	}
	return true
}

func TestWithoutAdminTokenNobodyGetsIn(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.AdminToken = "" })
	for _, header := range []string{"Bearer ", "Bearer", "", "Bearer x"} {
		r := h.anonymous(http.MethodGet, "/api/devices")
		r.Header.Set("Authorization", header)
		problem(t, h.send(r), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	}
}

func TestShortAdminTokenIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{AdminToken: "short"}); err == nil || !strings.Contains(err.Error(), "at least 16") {
		t.Errorf("got %v", err)
	}
}

func TestRolesDecide(t *testing.T) {
	t.Parallel()
	dispatcher := &account.Caller{Roles: []fleet.Role{fleet.RoleDispatcher}}
	if !may(dispatcher, ops().security) || may(dispatcher, admins().security) {
		t.Error("a dispatcher may what ops may, and no more")
	}
	if may(dispatcher, signedIn().security) || !may(&account.Caller{User: fleet.NewID[fleet.User]()}, signedIn().security) {
		t.Error("a person without a role, and nobody else, is signed in")
	}
	for _, closed := range [][]map[string][]string{nil, {}, {{"other": {"admin"}}}} {
		if may(&account.Caller{User: fleet.NewID[fleet.User](), Roles: []fleet.Role{fleet.RoleAdmin}}, closed) {
			t.Errorf("%v lets an admin in", closed)
		}
	}
}

// An operation that was registered around route, without Security, is closed
// even to the admin. On bare huma it would be open.
func TestOperationWithoutSecurityIsClosed(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Checks = nil })
	s, err := New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	huma.Get(s.huma, "/forgotten", func(_ context.Context, _ *struct{}) (*healthOutput, error) { return &healthOutput{}, nil })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	r := h.request(http.MethodGet, "/forgotten", nil)
	r.URL.Host = s.Addr().String()
	problem(t, h.send(r), http.StatusForbidden, fleet.CodeForbidden)
}
