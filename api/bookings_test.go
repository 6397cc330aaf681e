package api

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/schema/schematest"
)

// transfer is an order that can be had, with some of it changed; nil leaves out.
func transfer(changes ...map[string]any) map[string]any {
	order := map[string]any{
		"type": "secure_transfer", "tier": "essential", "minutes": 120,
		"pickup":      map[string]any{"lat": 51.5, "lon": -0.12, "label": "The Strand"},
		"destination": map[string]any{"lat": 51.47, "lon": -0.45, "label": "Heathrow"},
	}
	for _, change := range changes {
		maps.Copy(order, change)
	}
	maps.DeleteFunc(order, func(_ string, v any) bool { return v == nil })
	return order
}

// tomorrow is a start for an order.
var tomorrow = map[string]any{"local_start": "2026-03-02T12:00", "zone": "Europe/London"}

func (p *person) book(changes ...map[string]any) Booking {
	p.h.t.Helper()
	return as[Booking](p.h.t, p.must(http.StatusCreated, "POST", "/api/bookings", transfer(changes...)))
}

func (p *person) booking(id fleet.BookingID) Booking {
	p.h.t.Helper()
	return as[Booking](p.h.t, p.must(http.StatusOK, "GET", "/api/bookings/"+id.String(), nil))
}

// assign gives a booking to a driver and takes it along its way.
func (h *hub) assign(id fleet.BookingID, driver fleet.DriverID, way ...fleet.BookingStatus) {
	h.t.Helper()
	for _, to := range append([]fleet.BookingStatus{fleet.Assigned}, way...) {
		_, err := schema.Bookings{DB: h.db}.Change(h.t.Context(), id, h.clock.Now(), func(c *schema.BookingTx) error {
			if to == fleet.Assigned {
				s := c.Seats[0]
				s.State, s.Driver, s.From, s.To = fleet.SeatCommitted, driver, c.Start, c.End()
				if err := c.Take(s); err != nil {
					return err
				}
			}
			return c.Move(to, schema.Event{Kind: string(to), By: fleet.Actor{Kind: fleet.ByOfficer}, Data: map[string]any{"driver": driver}})
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// bookingOf makes a booking that is a person's: as its principal, or else as its
// officer.
func (h *hub) bookingOf(p *person, more string) string {
	h.t.Helper()
	if driver := h.employ(p); !driver.IsZero() {
		b := h.person(fleet.RoleRider).book(tomorrow)
		h.assign(b.ID, driver)
		return "/api/bookings/" + b.ID.String() + more
	}
	return "/api/bookings/" + p.book(tomorrow).ID.String() + more
}

// offerTo makes an offer to a person who is an officer, and returns the path to it.
func (h *hub) offerTo(p *person) string {
	h.t.Helper()
	b, driver := h.person(fleet.RoleRider).book(tomorrow), h.employ(p)
	id := fleet.NewID[fleet.Offer]()
	_, err := schema.Bookings{DB: h.db}.Change(h.t.Context(), b.ID, h.clock.Now(), func(c *schema.BookingTx) error {
		o := fleet.Offer{ID: id, Seat: c.Seats[0].ID, Driver: driver, Created: c.Now, Expires: c.Now.Add(time.Minute), From: c.Start, To: c.End()}
		if err := c.Offer(o); err != nil {
			return err
		}
		return c.Move(fleet.Searching, schema.Event{Kind: "searching"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return "/api/offers/" + id.String()
}

func (h *hub) seriesOf(p *person, more string) string {
	h.t.Helper()
	order := transfer(tomorrow, map[string]any{"recurrence": map[string]any{"count": 3}})
	return "/api/series/" + as[Series](h.t, p.must(http.StatusCreated, "POST", "/api/series", order)).ID.String() + more
}

// knownOfficer makes an officer whom a person has blocked.
func (h *hub) knownOfficer(p *person) string {
	h.t.Helper()
	driver, b := h.officer(map[string]any{"name": "Ben Hale", "tier": "essential"}), p.book()
	h.assign(b.ID, driver, fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed)
	path := "/api/officers/" + driver.String() + "/wish"
	p.must(http.StatusNoContent, "PUT", path, map[string]any{"wish": "blocked"})
	return path
}

func TestAQuoteAndItsBooking(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	q := as[Quote](t, ada.must(http.StatusCreated, "POST", "/api/quotes", transfer()))
	if q.Total.Amount <= 12_000 || q.Miles < 10 || len(q.Price.Lines) != 3 || q.Price.Total != q.Total || q.Pickup != nil || !q.ExpiresAt.Equal(noon.Add(15*time.Minute)) {
		t.Errorf("quoted %+v", q)
	}
	a := ada.must(http.StatusCreated, "POST", "/api/bookings", map[string]any{"quote_id": q.ID, "notes": "the red door"})
	b := as[Booking](t, a)
	if b.Status != fleet.Scheduled || *b.Total != q.Total || b.Notes != "the red door" || b.Pickup.Label != "The Strand" || b.As != "principal" || b.UserID != ada.id ||
		a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != "/api/bookings/"+b.ID.String() {
		t.Errorf("booked %+v with %v", b, a.Header)
	}
	problem(t, ada.do("POST", "/api/bookings", map[string]any{"quote_id": q.ID}), http.StatusConflict, fleet.CodeConflict)
	problem(t, ada.do("POST", "/api/bookings", map[string]any{"quote_id": q.ID, "tier": "shadow"}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	problem(t, ada.do("POST", "/api/bookings", map[string]any{"quote_id": q.ID, "officers": 2}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if p := problem(t, ada.do("POST", "/api/bookings", map[string]any{}), http.StatusUnprocessableEntity, fleet.CodeInvalid); len(p.Errors) != 4 {
		t.Errorf("nothing is %+v", p)
	}
	if list := as[page[Booking]](t, ada.must(http.StatusOK, "GET", "/api/bookings/history", nil)).Items; len(list) != 1 || list[0].ID != b.ID {
		t.Errorf("the history is %+v", list)
	}
}

func TestABookingIsCarriedOutOnceUnderItsKey(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	send := func() answer {
		r := h.request("POST", "/api/bookings", transfer())
		r.Header.Set("Authorization", "Bearer "+ada.token)
		r.Header.Set("Idempotency-Key", "a-double-tap")
		return h.send(r)
	}
	first, second := send(), send()
	if first.StatusCode != http.StatusCreated || !bytes.Equal(first.body, second.body) || second.Header.Get("Etag") != `"1"` {
		t.Errorf("%s %s, and again %s %s", first.Status, first.body, second.Status, second.body)
	}
	if list := as[page[Booking]](t, ada.must(http.StatusOK, "GET", "/api/bookings/history", nil)).Items; len(list) != 1 {
		t.Errorf("booked %d times", len(list))
	}
}

func TestOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	for location, change := range map[string]map[string]any{
		"body.destination":          {"destination": nil},
		"body.destination static":   {"type": "static_protection"},
		"body.minutes":              {"minutes": 100},
		"body.minutes short":        {"minutes": 60},
		"body.minutes long":         {"minutes": 10110},
		"body.officers":             {"officers": 11},
		"body.level":                {"level": "invincible"},
		"body.pickup.lat":           {"pickup": map[string]any{"lat": 91, "lon": 0}},
		"body.local_start":          {"local_start": "2026-02-28T12:00", "zone": "Europe/London"},
		"body.local_start format":   {"local_start": "2026-03-02 12:00", "zone": "Europe/London"},
		"body.zone":                 {"local_start": "2026-03-02T12:00"},
		"body.preferred_officer_id": {"preferred_officer_id": h.officer(map[string]any{"name": "x", "tier": "essential"})},
		"body":                      {"risk_band": "green"},
		"body total":                {"total": map[string]any{"amount": 1, "currency": "GBP"}},
		"body status":               {"status": "assigned"},
	} {
		location, _, _ = strings.Cut(location, " ")
		for _, path := range []string{"/api/quotes", "/api/bookings"} {
			p := problem(t, ada.do("POST", path, transfer(change)), http.StatusUnprocessableEntity, fleet.CodeInvalid)
			if len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, location) {
				t.Errorf("%v: %+v", change, p)
			}
		}
	}
	for _, armed := range []map[string]any{{"armed": true}, {"level": "armed"}} {
		p := problem(t, ada.do("POST", "/api/bookings", transfer(armed)), http.StatusUnprocessableEntity, fleet.CodeArmed)
		if !strings.Contains(p.Detail, "unarmed") {
			t.Errorf("an armed detail is refused with %q", p.Detail)
		}
	}
}

// The clocks of London go forward on 2027-03-28 at 01:00 and back on 2027-10-31 at
// 02:00.
func TestBookingsWhereTheClocksChange(t *testing.T) {
	t.Parallel()
	h := newHubAt(t, schematest.Plain(t), time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC))
	ada := h.person(fleet.RoleRider)
	start := func(local string, fold int) map[string]any {
		return map[string]any{"local_start": local, "zone": "Europe/London", "fold": fold}
	}
	p := problem(t, ada.do("POST", "/api/bookings", transfer(start("2027-03-28T01:30", 0))), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.local_start" || !strings.Contains(p.Errors[0].Message, "2027-03-28T02:00") {
		t.Errorf("a time that is left out: %+v", p)
	}
	for _, c := range []struct {
		local string
		fold  int
		want  string
	}{
		{"2027-03-28T02:00", 0, "2027-03-28T01:00:00Z"}, {"2027-03-28T10:00", 0, "2027-03-28T09:00:00Z"},
		{"2027-10-31T01:30", 0, "2027-10-31T00:30:00Z"}, {"2027-10-31T01:30", 1, "2027-10-31T01:30:00Z"}, {"2027-10-31T10:00", 0, "2027-10-31T10:00:00Z"},
	} {
		b := ada.book(start(c.local, c.fold))
		if b.StartsAt.Format(time.RFC3339) != c.want || b.LocalStart != c.local || b.Zone != "Europe/London" {
			t.Errorf("%s, fold %d: %+v, want %s", c.local, c.fold, b, c.want)
		}
	}
}

func TestWhatEachSideSees(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, ben, eve, staff := h.person(fleet.RoleRider), h.person(fleet.RoleDriver), h.person(fleet.RoleDriver), h.person(fleet.RoleDispatcher)
	driver := h.employ(ben)
	h.employ(eve)
	face := ada.keep("avatar", portrait(t))
	ada.must(http.StatusOK, "PUT", "/api/users/profile", map[string]any{"name": "Ada Lovelace", "photo_id": face.ID})
	shot := ben.keep("avatar", portrait(t))
	ben.must(http.StatusOK, "PUT", "/api/drivers/me", map[string]any{"languages": []string{"fr"}, "photo_id": shot.ID})
	b := ada.book(tomorrow, map[string]any{"notes": "the red door"})
	path := "/api/bookings/" + b.ID.String()
	photo := func(p *person, id fleet.FileID) answer { return p.do("GET", path+"/photos/"+id.String(), nil) }

	if b.StartCode != "" || b.Team != nil {
		t.Errorf("before acceptance the principal sees %+v", b)
	}
	problem(t, ben.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, photo(ada, shot.ID), http.StatusNotFound, fleet.CodeNotFound)
	h.assign(b.ID, driver)
	b = ada.booking(b.ID)
	if len(b.StartCode) != 6 || len(b.Team) != 1 || b.Team[0].Name != "Officer" || b.Team[0].Licence == "" || b.Team[0].PhotoID != shot.ID || b.Team[0].Contact != "/api/chat/"+b.ID.String() || !b.Team[0].Lead {
		t.Errorf("from acceptance the principal sees %+v", b)
	}
	mine := ben.booking(b.ID)
	if mine.As != "officer" || mine.Principal == nil || mine.Principal.Name != "Ada" || mine.Principal.PhotoID != face.ID || mine.Notes != "the red door" ||
		mine.Pickup == nil || mine.StartCode != "" || mine.Total != nil || mine.Price != nil || !mine.UserID.IsZero() {
		t.Errorf("from acceptance the officer sees %+v", mine)
	}
	for _, c := range []struct {
		p  *person
		id fleet.FileID
	}{{ada, shot.ID}, {ben, face.ID}} {
		if a := photo(c.p, c.id); a.StatusCode != http.StatusOK || len(a.body) == 0 {
			t.Errorf("the other's photo: %s %s", a.Status, a.body)
		}
	}
	problem(t, photo(eve, face.ID), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, photo(ben, fleet.NewID[fleet.File]()), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, eve.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	if own := as[page[Booking]](t, ben.must(http.StatusOK, "GET", "/api/bookings/history?as=officer", nil)).Items; len(own) != 1 || own[0].As != "officer" {
		t.Errorf("the officer's history is %+v", own)
	}

	// The events: to ops with what they say, to the others without.
	events := as[page[BookingEvent]](t, ada.must(http.StatusOK, "GET", path+"/events", nil)).Items
	if len(events) != 2 || events[0].Kind != "booked" || events[1].To != fleet.Assigned || events[1].Data != nil {
		t.Errorf("the principal is told %+v", events)
	}
	if events = as[page[BookingEvent]](t, staff.must(http.StatusOK, "GET", path+"/events?after=1", nil)).Items; len(events) != 1 || events[0].Data == nil {
		t.Errorf("ops are told %+v", events)
	}
	first := as[page[BookingEvent]](t, ada.must(http.StatusOK, "GET", path+"/events?limit=1", nil))
	if next := as[page[BookingEvent]](t, ada.must(http.StatusOK, "GET", path+"/events?limit=1&cursor="+first.Next, nil)); len(next.Items) != 1 || next.Items[0].Seq != 2 || next.Next != "" {
		t.Errorf("the next page is %+v", next)
	}

	for _, to := range []fleet.BookingStatus{fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed} {
		if _, err := (schema.Bookings{DB: h.db}).Change(t.Context(), b.ID, h.clock.Now(), func(c *schema.BookingTx) error {
			return c.Move(to, schema.Event{Kind: string(to)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.Advance(24*time.Hour - time.Second)
	ada.renew()
	ben.renew()
	if b, mine = ada.booking(b.ID), ben.booking(b.ID); len(b.Team) != 1 || mine.Principal == nil || b.StartCode != "" {
		t.Errorf("within a day they see %+v and %+v", b, mine)
	}
	h.clock.Advance(time.Second)
	if b, mine = ada.booking(b.ID), ben.booking(b.ID); b.Team != nil || mine.Principal != nil || mine.Pickup != nil || mine.Notes != "" {
		t.Errorf("after a day they see %+v and %+v", b, mine)
	}
	problem(t, photo(ada, shot.ID), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, photo(ben, face.ID), http.StatusNotFound, fleet.CodeNotFound)
}

func TestOpsSeeBookings(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, hidden, staff, named := h.person(fleet.RoleRider), h.person(fleet.RoleRider), h.person(fleet.RoleDispatcher), h.person(fleet.RoleDispatcher)
	open, secret := ada.book(tomorrow), hidden.book()
	h.must(http.StatusNoContent, "PUT", "/api/users/"+hidden.id.String()+"/restricted", map[string]any{"restricted": true})
	h.must(http.StatusNoContent, "PUT", "/api/users/"+hidden.id.String()+"/viewers/"+named.id.String(), nil)
	driver := h.officer(map[string]any{"name": "x", "tier": "essential"})
	h.assign(open.ID, driver)

	list := func(p *person, query string) (s string) {
		t.Helper()
		for _, b := range as[page[Booking]](t, p.must(http.StatusOK, "GET", "/api/bookings"+query, nil)).Items {
			s += map[fleet.BookingID]string{open.ID: "o", secret.ID: "s"}[b.ID]
			if b.As != "ops" || b.UserID.IsZero() || b.StartCode != "" || b.FundedAt.IsZero() {
				t.Errorf("ops see %+v", b)
			}
		}
		return s
	}
	for query, want := range map[string]string{
		"": "so", "?status=assigned": "o", "?status=assigned,scheduled": "so", "?driver_id=" + driver.String(): "o", "?user_id=" + hidden.id.String(): "s",
		"?from=2026-03-02T12:00:00Z": "o", "?to=2026-03-02T12:00:00Z": "s", "?limit=1": "s",
	} {
		if got := list(named, query); got != want {
			t.Errorf("%q lists %q, want %q", query, got, want)
		}
	}
	if got := list(staff, ""); got != "o" {
		t.Errorf("staff who are not named list %q", got)
	}
	for _, bad := range []string{"?status=lost", "?driver_id=x", "?from=yesterday", "?cursor=x"} {
		problem(t, staff.do("GET", "/api/bookings"+bad, nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	path := "/api/bookings/" + secret.ID.String()
	for _, p := range []string{"", "/events"} {
		problem(t, staff.do("GET", path+p, nil), http.StatusNotFound, fleet.CodeNotFound)
		named.must(http.StatusOK, "GET", path+p, nil)
	}
	for _, p := range []string{"/cancel", "/waive"} {
		problem(t, staff.do("PUT", path+p, map[string]any{"reason": "x"}), http.StatusNotFound, fleet.CodeNotFound)
	}
	// Each look is in the audit log, and so is what ops are shown of what they change:
	// at the one, at its events, at the lists, and at what was cancelled.
	named.must(http.StatusOK, "PUT", path+"/cancel", map[string]any{"reason": "no officers"})
	entries, err := schema.Audit{DB: h.db}.List(t.Context(), named.id, schema.AuditQuery{Subject: hidden.id, Action: "read_booking", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]int{}
	for _, e := range entries {
		objects[e.Object]++
	}
	if objects["booking/"+secret.ID.String()] != 3 || objects["bookings"] != 5 {
		t.Errorf("the log has %v", objects)
	}
}

// Before a person has agreed to what is required they have quotes, and no booking. The
// refusal names what it is.
func TestABookingNeedsConsents(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(cfg *Config) {
		cfg.Desk = dispatch.NewDesk(dispatch.DeskConfig{
			DB: cfg.DB, Bus: cfg.Bus, Map: cfg.Map.(*live.Index), Hash: cfg.Keyring.Hash, Lacking: cfg.Consents.Lacking, Clock: cfg.Clock, Log: cfg.Log,
		})
	})
	ada, bob := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	quote := map[string]any{"quote_id": as[Quote](t, ada.must(http.StatusCreated, "POST", "/api/quotes", transfer())).ID}
	series := transfer(tomorrow, map[string]any{"recurrence": map[string]any{"count": 2}})
	var lacks []string
	for path, body := range map[string]map[string]any{"/api/bookings": quote, "/api/bookings?": transfer(), "/api/series": series} {
		a := ada.do("POST", path, body)
		problem(t, a, http.StatusForbidden, fleet.CodeConsentNeeded)
		lacks = nil
		for _, e := range as[struct{ Errors []struct{ Location string } }](t, a).Errors {
			lacks = append(lacks, strings.TrimPrefix(e.Location, "body.consents."))
		}
	}
	slices.Sort(lacks)
	if want := []string{"privacy", "safety_data", "terms"}; !slices.Equal(lacks, want) {
		t.Fatalf("it lacks %v, want %v", lacks, want)
	}
	for i, kind := range lacks {
		bob.must(http.StatusOK, "POST", consentsPath, map[string]any{"kind": kind, "version": 1}) // is not Ada's
		ada.must(http.StatusOK, "POST", consentsPath, map[string]any{"kind": kind, "version": 1})
		if i < len(lacks)-1 {
			problem(t, ada.do("POST", "/api/bookings", quote), http.StatusForbidden, fleet.CodeConsentNeeded)
		}
	}
	ada.must(http.StatusCreated, "POST", "/api/bookings", quote)
	ada.must(http.StatusCreated, "POST", "/api/series", series)
}
