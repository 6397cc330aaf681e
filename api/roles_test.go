package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// routes says who may call each operation: roles; person, for whoever has signed
// in; anyone, for nobody in particular; a scope, for partners' systems that have
// it. "fresh" asks for a sign-in of just now besides. It is written by hand, from
// what the operation is for, and not from the document: a new operation fails the
// test below until somebody has said here who may call it.
const routes = `
GET     /.well-known/jwks.json                      anyone
GET     /healthz                                    anyone
GET     /readyz                                     anyone

POST    /api/auth/register                          anyone
POST    /api/auth/verify-email                      anyone
POST    /api/auth/login                             anyone
POST    /api/auth/refresh                           anyone
POST    /api/auth/forgot-password                   anyone
POST    /api/auth/reset-password                    anyone
POST    /api/auth/change-password                   person
POST    /api/auth/logout                            person
POST    /api/auth/reauthenticate                    person
GET     /api/auth/sessions                          person
DELETE  /api/auth/sessions/{id}                     person
POST    /api/auth/totp                              person fresh
POST    /api/auth/totp/confirm                      person fresh
DELETE  /api/auth/totp                              person fresh
POST    /api/auth/totp/recovery-codes               person fresh
GET     /api/auth/oidc                              anyone
GET     /api/auth/oidc/{provider}/start             anyone
GET     /api/auth/oidc/{provider}/callback          anyone
POST    /api/auth/oidc/{provider}/callback          anyone
POST    /api/auth/oidc/{provider}/token             anyone
POST    /api/auth/oidc/{provider}/link              person fresh
POST    /api/auth/oidc/exchange                     anyone
GET     /api/auth/identities                        person
DELETE  /api/auth/identities/{id}                   person fresh
POST    /api/auth/token                             anyone

POST    /api/partners                               admin fresh
GET     /api/partners                               admin
POST    /api/partners/{id}/secret                   admin fresh
DELETE  /api/partners/{id}                          admin

POST    /api/tickets                                person guest
GET     /api/tracking/{tripId}                      rider driver dispatcher admin guest
GET     /api/tracking/{tripId}/events               rider driver dispatcher admin guest
POST    /api/bookings/{id}/shares                   rider fresh
GET     /api/bookings/{id}/shares                   rider
DELETE  /api/bookings/{id}/shares/{share}           rider
POST    /api/shares/exchange                        anyone

POST    /api/approvals                              dispatcher compliance admin
GET     /api/approvals                              dispatcher finance compliance admin
POST    /api/approvals/{id}/approve                 finance compliance admin fresh
POST    /api/approvals/{id}/reject                  finance compliance admin

GET     /api/notices                                compliance admin

POST    /api/sos                                    person
POST    /api/sos/cancel                             person
GET     /api/sos/{id}                               person
PUT     /api/users/duress-code                      person fresh
DELETE  /api/users/duress-code                      person fresh
GET     /api/sos                                    dispatcher admin
GET     /api/sos/{id}/timeline                      dispatcher admin
POST    /api/sos/{id}/acknowledge                   dispatcher admin
POST    /api/sos/{id}/close                         dispatcher admin
GET     /api/sos/rota                               dispatcher admin
PUT     /api/sos/rota                               admin

GET     /api/audit                                  dispatcher compliance admin fresh
POST    /api/holds                                  compliance
GET     /api/holds                                  compliance
DELETE  /api/holds/{id}                             compliance

GET     /api/retention                              person
POST    /api/users/exports                          person fresh
GET     /api/users/exports                          person
GET     /api/users/exports/{id}                     person
GET     /api/users/exports/{id}/download            person fresh
POST    /api/users/erase                            person fresh
GET     /api/users/me                               person
GET     /api/users/inbox                            person
POST    /api/users/me/email                         person fresh
POST    /api/users/me/email/verify                  person fresh
POST    /api/users/me/phone                         person fresh
POST    /api/users/me/phone/verify                  person fresh
GET     /api/users                                  dispatcher finance compliance admin
GET     /api/users/{id}                             dispatcher finance compliance admin
GET     /api/users/{id}/suspensions                 dispatcher finance compliance admin
POST    /api/users/{id}/suspend                     admin
POST    /api/users/{id}/reinstate                   admin
PUT     /api/users/{id}/roles                       admin fresh
PUT     /api/users/{id}/restricted                  admin
GET     /api/users/{id}/viewers                     admin
PUT     /api/users/{id}/viewers/{viewer}            admin
DELETE  /api/users/{id}/viewers/{viewer}            admin

GET     /api/users/profile                          person
PUT     /api/users/profile                          person
GET     /api/users/preferences                      person
PUT     /api/users/preferences                      person
GET     /api/users/questionnaire                    person
PUT     /api/users/questionnaire                    person
GET     /api/users/questionnaire/form               person
PUT     /api/users/questionnaire/steps/{step}       person
GET     /api/users/{id}/questionnaire               dispatcher compliance admin
GET     /api/consents                               anyone
GET     /api/consents/{kind}/{version}              anyone
GET     /api/users/consents                         person
POST    /api/users/consents                         person
POST    /api/users/consents/withdraw                person
GET     /api/users/{id}/consents                    compliance
POST    /api/users/push-tokens                      person
DELETE  /api/users/push-tokens                      person
GET     /api/users/addresses                        person
POST    /api/users/addresses                        person
PUT     /api/users/addresses/{id}                   person
DELETE  /api/users/addresses/{id}                   person
GET     /api/users/contacts                         person
POST    /api/users/contacts                         person
PUT     /api/users/contacts/{id}                    person
DELETE  /api/users/contacts/{id}                    person
POST    /api/users/contacts/{id}/invite             person
POST    /api/contacts/opt-in                        anyone
POST    /api/contacts/opt-out                       anyone

GET     /api/places                                 person

POST    /api/files                                  person
GET     /api/files                                  person
GET     /api/files/{id}                             person
DELETE  /api/files/{id}                             person

POST    /api/devices                                admin
GET     /api/devices                                dispatcher admin
GET     /api/devices/{id}                           dispatcher admin
POST    /api/devices/enrol                          rider driver
PUT     /api/devices/{id}/binding                   dispatcher admin
GET     /api/devices/{id}/bindings                  dispatcher admin
POST    /api/devices/{id}/owntracks                 admin
PUT     /api/devices/{id}/payload-key               admin
GET     /api/devices/{id}/points                    dispatcher admin
GET     /api/devices/{id}/position                  dispatcher admin
GET     /api/devices/{id}/status                    dispatcher admin
GET     /api/devices/{id}/events                    dispatcher admin
GET     /api/devices/{id}/commands                  dispatcher admin
POST    /api/devices/{id}/commands                  dispatcher admin
GET     /api/devices/{id}/credentials               admin
POST    /api/devices/{id}/credentials               admin
DELETE  /api/devices/{id}/credentials/{credential}  admin
POST    /api/devices/{id}/token                     rider driver admin
GET     /api/dead-letters                           dispatcher admin

POST    /api/drivers                                admin
GET     /api/drivers                                dispatcher admin
GET     /api/drivers/nearby                         rider dispatcher admin fleet:read
POST    /api/drivers/assign                         dispatcher admin
GET     /api/offers                                 driver
GET     /api/offers/open                            driver
POST    /api/offers/open/{booking}/ask              driver
POST    /api/offers/{id}/accept                     driver
POST    /api/offers/{id}/decline                    driver
GET     /api/drivers/me                             driver
PUT     /api/drivers/me                             driver
GET     /api/drivers/me/documents                   driver
POST    /api/drivers/me/documents                   driver
GET     /api/drivers/me/fitness                     driver
GET     /api/drivers/{id}                           dispatcher compliance admin
PUT     /api/drivers/{id}                           compliance admin
GET     /api/drivers/{id}/documents                 dispatcher compliance admin
POST    /api/drivers/{id}/documents                 compliance admin
GET     /api/drivers/{id}/fitness                   dispatcher compliance admin
PUT     /api/drivers/{id}/duty                      driver dispatcher admin
GET     /api/drivers/{id}/location                  rider driver dispatcher admin
GET     /api/documents                              compliance admin
PUT     /api/documents/{id}/status                  compliance admin

GET     /api/tariff                                 person
GET     /api/tariffs                                dispatcher finance compliance admin
PUT     /api/tariff                                 dispatcher finance admin fresh
POST    /api/quotes                                 rider
POST    /api/payments/reserve                       rider
POST    /api/payments/charge                        finance admin
POST    /api/payments/refund                        dispatcher finance admin
POST    /api/payments/webhook                       anyone
GET     /api/payments/reconciliation                finance admin
POST    /api/payments/reconciliation/known          finance admin fresh
GET     /api/payments/config                        person
GET     /api/payments/methods                       rider
POST    /api/payments/methods                       rider
PUT     /api/payments/methods/{id}/preferred        rider
DELETE  /api/payments/methods/{id}                  rider
GET     /api/payments/debts                         rider
POST    /api/payments/debts/{id}/pay                rider
GET     /api/debts                                  finance admin
GET     /api/bookings/{id}/payments                 rider dispatcher finance admin
POST    /api/bookings                               rider
GET     /api/bookings                               dispatcher admin
GET     /api/bookings/history                       rider driver
GET     /api/bookings/{id}                          rider driver dispatcher admin
PATCH   /api/bookings/{id}                          rider
GET     /api/bookings/{id}/events                   rider driver dispatcher admin
GET     /api/bookings/{id}/photos/{file}            rider driver
PUT     /api/bookings/{id}/cancel                   rider dispatcher admin
PUT     /api/bookings/{id}/waive                    dispatcher admin
POST    /api/bookings/{id}/rate                     rider
GET     /api/bookings/{id}/receipt                  rider finance admin
GET     /api/users/membership                       rider
POST    /api/users/membership                       rider
DELETE  /api/users/membership                       rider
GET     /api/organisations/mine                     rider
GET     /api/organisations/mine/waiting             rider
PUT     /api/bookings/{id}/approval                 rider
POST    /api/organisations                          finance admin fresh
GET     /api/organisations                          finance admin
GET     /api/organisations/{id}                     finance admin
PUT     /api/organisations/{id}                     finance admin fresh
GET     /api/organisations/{id}/members             finance admin
PUT     /api/organisations/{id}/members/{user}      finance admin fresh
DELETE  /api/organisations/{id}/members/{user}      finance admin
GET     /api/organisations/{id}/statements          finance admin
PUT     /api/statements/{id}/paid                   finance admin fresh
GET     /api/pay-rates                              driver dispatcher finance admin
PUT     /api/pay-rates                              finance admin fresh
GET     /api/drivers/me/earnings                    driver
GET     /api/drivers/me/payouts                     driver
POST    /api/drivers/me/payouts                     driver fresh
GET     /api/drivers/{id}/payouts                   finance admin
GET     /api/earnings/export                        finance admin fresh
GET     /api/invoices                               rider finance admin
GET     /api/invoices/{id}                          rider finance admin
POST    /api/series                                 rider
GET     /api/series                                 rider
GET     /api/series/{id}                            rider
PUT     /api/series/{id}/end                        rider
GET     /api/officers                               rider
GET     /api/officers/{id}                          rider
GET     /api/reviews                                compliance admin
PUT     /api/reviews/{id}                           compliance admin
PUT     /api/bookings/{id}/review                   rider
PUT     /api/officers/{id}/wish                     rider
DELETE  /api/officers/{id}/wish                     rider
PUT     /api/drivers/{id}/approval                  compliance admin

POST    /api/vehicles                               admin
GET     /api/vehicles                               dispatcher admin
GET     /api/vehicles/{id}/documents                dispatcher compliance admin
POST    /api/vehicles/{id}/documents                compliance admin
PUT     /api/vehicles/{id}/driver                   dispatcher admin
GET     /api/vehicles/{id}/drivers                  dispatcher admin

POST    /api/fences                                 admin
GET     /api/fences                                 dispatcher admin
GET     /api/fences/{id}                            dispatcher admin
DELETE  /api/fences/{id}                            admin
GET     /api/fences/{id}/events                     dispatcher admin

POST    /api/bookings/{id}/en-route                 driver dispatcher admin
POST    /api/bookings/{id}/arrive                   driver dispatcher admin
POST    /api/bookings/{id}/start                    driver dispatcher admin
POST    /api/bookings/{id}/complete                 driver dispatcher admin
POST    /api/bookings/{id}/no-show                  driver dispatcher admin
POST    /api/bookings/{id}/release                  driver dispatcher admin
POST    /api/bookings/{id}/relief                   driver dispatcher admin
POST    /api/bookings/{id}/handover                 driver dispatcher admin
POST    /api/bookings/{id}/extend                   rider dispatcher admin
GET     /api/bookings/{id}/eta                      rider driver dispatcher admin
GET     /api/conversations                          rider driver
GET     /api/chat/{tripId}                          rider driver dispatcher admin
GET     /api/chat/{tripId}/messages                 rider driver dispatcher admin
POST    /api/chat/{tripId}/messages                 rider driver dispatcher admin
PUT     /api/chat/{tripId}/marks                    rider driver
GET     /api/chat/{tripId}/quick-replies            rider driver dispatcher admin
GET     /api/trips                                  dispatcher admin
GET     /api/trips/conflicts                        dispatcher admin
POST    /api/trips/{id}/conflicts/{command}/resolve dispatcher admin
GET     /api/alerts                                 dispatcher admin
POST    /api/alerts/{id}/close                      dispatcher admin
POST    /api/alerts/{id}/acknowledge                dispatcher admin
`

// grant is a row of routes.
type grant struct {
	who   []string
	fresh bool
}

func grants(t *testing.T) map[string]grant {
	t.Helper()
	rows := map[string]grant{}
	for line := range strings.Lines(routes) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name := words[0] + " " + words[1]
		if _, twice := rows[name]; twice || len(words) < 3 {
			t.Fatalf("the row %q is there twice, or says nothing", name)
		}
		g := grant{who: words[2:]}
		if i := slices.Index(g.who, "fresh"); i >= 0 {
			g.who, g.fresh = slices.Delete(g.who, i, i+1), true
		}
		rows[name] = g
	}
	return rows
}

// operations are those of the document, by method and path.
func (h *hub) operations() map[string]*huma.Operation {
	found := map[string]*huma.Operation{}
	for path, item := range h.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete, item.Patch, item.Head, item.Options, item.Trace} {
			if op != nil {
				found[op.Method+" "+path] = op
			}
		}
	}
	return found
}

// actor is somebody who knocks. A request that is let in may end its actor's
// session, so that each knocks once.
type actor struct {
	name string
	is   []string // words of routes that let them in
	make func() *person
}

func (h *hub) actors() []actor {
	ada := h.partner()
	rider, _, _, trip := h.trip()
	link := rider.shared("/api/bookings/"+trip.String()+"/shares", "trip_end").URL
	list := []actor{
		{"nobody", []string{"anyone"}, func() *person { return &person{h: h} }},
		{"a person without a role", []string{"anyone", "person"}, func() *person { return h.person() }},
		{"who holds a link", []string{"anyone", "guest"}, func() *person { return h.guest(link) }},
		{"a partner's system", []string{"anyone", "fleet:read"}, func() *person { return h.granted(ada) }},
		{"an admin without a second factor", []string{"anyone", "person"}, func() *person {
			p := h.person(fleet.RoleAdmin)
			tokens, err := h.sessions.Begin(h.t.Context(), account.SignIn{User: p.id, Method: fleet.ByPassword})
			if err != nil {
				h.t.Fatal(err)
			}
			p.session, p.token = tokens.Session.ID, tokens.Access
			return p
		}},
	}
	for _, role := range fleet.Roles() {
		if role != fleet.RolePartner { // no person's
			list = append(list, actor{"a " + string(role), []string{"anyone", "person", string(role)}, func() *person { return h.person(role) }})
		}
	}
	return list
}

// knock sends a request without sense to an operation and reports how it was
// refused at the door: 401 or 403; 0 if it was let in.
func (p *person) knock(op *huma.Operation) (int, answer) {
	p.h.t.Helper()
	var body any
	if op.RequestBody != nil {
		body = "{}"
	}
	r := p.h.request(op.Method, concrete(op.Path), body)
	r.Header.Del("Authorization")
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	a := p.h.send(r)
	said := string(a.body)
	switch {
	case a.StatusCode == http.StatusUnauthorized && strings.Contains(said, "bearer token"),
		a.StatusCode == http.StatusForbidden && (strings.Contains(said, "another role") || strings.Contains(said, `"stale_sign_in"`)):
		return a.StatusCode, a
	}
	return 0, a
}

func TestEveryRouteOpensToItsRolesAlone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rows, operations := grants(t), h.operations()
	for name := range rows {
		if operations[name] == nil {
			t.Errorf("%s is in the table and not in the document", name)
		}
	}
	actors := h.actors()
	for name, op := range operations {
		row, ok := rows[name]
		if !ok {
			t.Errorf("%s has no row: say in routes, in roles_test.go, who may call it", name)
			continue
		}
		for _, a := range actors {
			want := 0
			if !slices.ContainsFunc(row.who, func(word string) bool { return slices.Contains(a.is, word) }) {
				want = http.StatusForbidden
				if a.name == "nobody" {
					want = http.StatusUnauthorized
				}
			}
			got, answer := a.make().knock(op)
			if got != want || answer.StatusCode >= http.StatusInternalServerError && op.Path != "/readyz" {
				t.Errorf("%s by %s: %d at the door, want %d: %s %s", name, a.name, got, want, answer.Status, answer.body)
			}
		}
	}
}

func TestWhatAStolenPhoneMustNotDoNeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	operations := h.operations()
	for name, row := range grants(t) {
		op := operations[name]
		if op == nil || row.who[0] == "anyone" {
			continue
		}
		var roles []fleet.Role
		if row.who[0] != "person" {
			roles = append(roles, fleet.Role(row.who[0]))
		}
		p := h.person(roles...)
		h.clock.Advance(account.FreshFor + time.Second)
		tokens, err := h.sessions.Refresh(t.Context(), p.refresh)
		if err != nil {
			t.Fatal(err)
		}
		p.token = tokens.Access
		want := 0
		if row.fresh {
			want = http.StatusForbidden
		}
		if got, answer := p.knock(op); got != want {
			t.Errorf("%s after a while: %d at the door, want %d: %s", name, got, want, answer.body)
		}
	}
}

// A role that somebody has lost, and a session that has ended, open nothing any
// more, though the token has not expired.
func TestATokenIsWorthWhatItsPersonIsWorthNow(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := h.person(fleet.RoleDispatcher)
	p.must(http.StatusOK, "GET", "/api/devices", nil)
	if err := h.sessions.End(t.Context(), p.id, p.session, fleet.EndedByLogout); err != nil {
		t.Fatal(err)
	}
	problem(t, p.do("GET", "/api/devices", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
}

// owned makes, for each path that names something of a person's, what is the
// given person's, and returns the path to it.
func (h *hub) owned() map[string]func(p *person) string {
	owned := map[string]func(p *person) string{
		"/api/auth/sessions/{id}": func(p *person) string { return "/api/auth/sessions/" + p.session.String() },
		"/api/auth/identities/{id}": func(p *person) string {
			l := fleet.LinkedIdentity{ID: fleet.NewID[fleet.LinkedIdentity](), User: p.id, Provider: "google", Issuer: "x", Subject: p.id.String(), Created: noon, Used: noon}
			if err := (schema.LinkedIdentities{DB: h.db}).Link(h.t.Context(), l, nil); err != nil {
				h.t.Fatal(err)
			}
			return "/api/auth/identities/" + l.ID.String()
		},
		"/api/devices/{id}/token": func(p *person) string {
			h.employ(p)
			a := p.must(http.StatusOK, "POST", "/api/devices/enrol", map[string]any{"name": "phone", "platform": "ios"})
			return "/api/devices/" + as[struct {
				DeviceID string `json:"device_id"`
			}](h.t, a).DeviceID + "/token"
		},
		"/api/files/{id}":                  func(p *person) string { return "/api/files/" + p.keep("document", scan(100)).ID.String() },
		"/api/users/exports/{id}":          func(p *person) string { return p.exported() },
		"/api/users/exports/{id}/download": func(p *person) string { return p.exported() + "/download" },
		"/api/users/addresses/{id}": func(p *person) string {
			place := map[string]any{"label": "Home", "text": "1 The Street", "lat": 51.5, "lon": 0}
			return "/api/users/addresses/" + as[Address](h.t, p.must(http.StatusCreated, "POST", "/api/users/addresses", place)).ID.String()
		},
		"/api/users/contacts/{id}": func(p *person) string {
			return "/api/users/contacts/" + as[Contact](h.t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles(p.id.String()+"@example.com"))).ID.String()
		},
		"/api/users/contacts/{id}/invite": func(p *person) string {
			c := as[Contact](h.t, p.must(http.StatusCreated, "POST", "/api/users/contacts", charles("c"+p.id.String()+"@example.com")))
			return "/api/users/contacts/" + c.ID.String() + "/invite"
		},
		"/api/chat/{tripId}":                   func(p *person) string { return h.chatOf(p, "") },
		"/api/chat/{tripId}/messages":          func(p *person) string { return h.chatOf(p, "/messages") },
		"/api/chat/{tripId}/marks":             func(p *person) string { return h.chatOf(p, "/marks") },
		"/api/chat/{tripId}/quick-replies":     func(p *person) string { return h.chatOf(p, "/quick-replies") },
		"/api/payments/methods/{id}":           func(p *person) string { return "/api/payments/methods/" + h.cardOf(p) },
		"/api/payments/methods/{id}/preferred": func(p *person) string { return "/api/payments/methods/" + h.cardOf(p) + "/preferred" },
		"/api/payments/debts/{id}/pay":         func(p *person) string { return "/api/payments/debts/" + h.debtOf(p) + "/pay" },
		"/api/bookings/{id}/payments":          func(p *person) string { return h.bookingOf(p, "/payments") },

		"/api/bookings/{id}":               func(p *person) string { return h.bookingOf(p, "") },
		"/api/bookings/{id}/events":        func(p *person) string { return h.bookingOf(p, "/events") },
		"/api/bookings/{id}/cancel":        func(p *person) string { return h.bookingOf(p, "/cancel") },
		"/api/bookings/{id}/rate":          func(p *person) string { return h.bookingOf(p, "/rate") },
		"/api/bookings/{id}/photos/{file}": func(p *person) string { return h.bookingOf(p, "/photos/"+fleet.NewID[fleet.File]().String()) },
		"/api/offers/{id}/accept":          func(p *person) string { return h.offerTo(p) + "/accept" },
		"/api/offers/{id}/decline":         func(p *person) string { return h.offerTo(p) + "/decline" },
		"/api/offers/open/{booking}/ask": func(p *person) string { // what has its officer is open no more
			return "/api/offers/open/" + strings.TrimPrefix(h.bookingOf(p, "/ask"), "/api/bookings/")
		},
		"/api/sos/{id}": func(p *person) string {
			return "/api/sos/" + as[SOS](h.t, p.must(http.StatusCreated, "POST", "/api/sos", nil)).ID.String()
		},
		"/api/bookings/{id}/approval": func(p *person) string { return h.bookingOf(p, "/approval") },
		"/api/bookings/{id}/receipt":  func(p *person) string { return "/api/bookings/" + h.invoiceOf(p).Booking.String() + "/receipt" },
		"/api/invoices/{id}":          func(p *person) string { return "/api/invoices/" + h.invoiceOf(p).ID.String() },
		"/api/series/{id}":            func(p *person) string { return h.seriesOf(p, "") },
		"/api/series/{id}/end":        func(p *person) string { return h.seriesOf(p, "/end") },
		"/api/officers/{id}/wish":     h.knownOfficer,
		"/api/officers/{id}":          func(p *person) string { return strings.TrimSuffix(h.knownOfficer(p), "/wish") },
		"/api/bookings/{id}/review":   func(p *person) string { return h.bookingOf(p, "/review") },
		"/api/bookings/{id}/shares":   func(p *person) string { return h.bookingOf(p, "/shares") },
		"/api/bookings/{id}/shares/{share}": func(p *person) string {
			path := h.bookingOf(p, "/shares")
			return path + "/" + p.shared(path, "trip_end").ID.String()
		},
		"/api/tracking/{tripId}": func(p *person) string {
			return "/api/tracking/" + strings.TrimPrefix(h.bookingOf(p, ""), "/api/bookings/")
		},
		"/api/tracking/{tripId}/events": func(p *person) string {
			return "/api/tracking/" + strings.TrimPrefix(h.bookingOf(p, "/events"), "/api/bookings/")
		},
		"/api/drivers/{id}/duty": func(p *person) string {
			return "/api/drivers/" + h.employ(p).String() + "/duty"
		},
		"/api/drivers/{id}/location": func(p *person) string {
			_, driver := h.tripOf(p)
			return "/api/drivers/" + driver.String() + "/location"
		},
	}
	for _, what := range []string{"en-route", "arrive", "start", "complete", "no-show", "release", "relief", "handover", "extend", "eta"} {
		owned["/api/bookings/{id}/"+what] = func(p *person) string {
			id, _ := h.tripOf(p)
			return "/api/bookings/" + id.String() + "/" + what
		}
	}
	return owned
}

// employ makes a person an officer who is fit to work, if they have the role.
func (h *hub) employ(p *person) fleet.DriverID {
	h.t.Helper()
	if u, err := (schema.Users{DB: h.db}).Get(h.t.Context(), p.id); err != nil || !u.Has(fleet.RoleDriver) {
		return fleet.DriverID{}
	}
	return h.officer(map[string]any{"name": "Officer", "tier": "executive", "user_id": p.id.String()})
}

// Whatever is one person's is not found by another of the same role, and neither
// is what is nobody's: the two look alike.
func TestWhatIsOnePersonsIsNotFoundByAnother(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rows, owned := grants(t), h.owned()
	random := &sampler{Rand: rand.New(rand.NewPCG(1, 1)), registry: h.huma.OpenAPI().Components.Schemas, now: noon}
	tried := 0
	for name, op := range h.operations() {
		for _, role := range []fleet.Role{fleet.RoleRider, fleet.RoleDriver} {
			who := rows[name].who
			named := strings.Contains(strings.NewReplacer("{provider}", "", "{step}", "").Replace(op.Path), "{")
			if !named || !slices.Contains(who, "person") && !slices.Contains(who, string(role)) {
				continue
			}
			of, ok := owned[op.Path]
			if !ok {
				t.Errorf("%s names what is a person's: say in owned, in roles_test.go, how a person comes by one", name)
				break
			}
			owner, other := h.person(role), h.person(role)
			path := of(owner)
			for what, path := range map[string]string{"another's": path, "nobody's": concrete(op.Path)} {
				var body any
				if op.RequestBody != nil {
					body = random.value(op.RequestBody.Content["application/json"].Schema)
				}
				a := other.do(op.Method, path, body)
				if a.StatusCode != http.StatusNotFound || as[Problem](t, a).Code != fleet.CodeNotFound {
					t.Errorf("%s, %s, by another %s: %s %s (sent %s)", name, what, role, a.Status, a.body, fmt.Sprint(body))
				}
				tried++
			}
		}
	}
	if tried < 2*len(owned) {
		t.Errorf("only %d requests were tried", tried)
	}
}
