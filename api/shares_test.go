package api

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// shared makes a link by the path of a booking's shares.
func (p *person) shared(path, until string) MadeShare {
	p.h.t.Helper()
	return as[MadeShare](p.h.t, p.must(http.StatusCreated, "POST", path, map[string]any{"label": "Bo", "until": until}))
}

func (h *hub) exchange(link string) answer {
	h.t.Helper()
	r := h.request("POST", "/api/shares/exchange", map[string]any{"token": link[strings.Index(link, "#")+1:]})
	r.Header.Del("Authorization")
	return h.send(r)
}

// guest is who has opened a link.
func (h *hub) guest(link string) *person {
	h.t.Helper()
	a := h.exchange(link)
	if a.StatusCode != http.StatusOK {
		h.t.Fatalf("exchange: %s %s", a.Status, a.body)
	}
	return &person{h: h, token: as[Watching](h.t, a).AccessToken}
}

func TestWhoHasALinkWatchesThatTripAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, driver, id := h.trip()
	path := "/api/bookings/" + id.String() + "/shares"
	made := rider.shared(path, "trip_end")
	if !strings.HasPrefix(made.URL, "https://hub.example/watch#arms_") || !made.Live {
		t.Errorf("made %+v", made)
	}
	if kinds := rider.kinds(); !slices.Contains(kinds, "share_made") {
		t.Errorf("the principal's sessions were told %v", kinds)
	}
	guest := h.guest(made.URL)
	h.fix(driver, 1, 51.51)
	w := guest.watch(id, "?since=0")
	events := h.stream("/api/tracking/"+id.String()+"/events", bearerOf(guest.token))
	if kind, _, data := events.event(); kind != "snapshot" || strings.Contains(data, "driver_id") {
		t.Errorf("the event stream says %s %s", kind, data)
	}
	for m := w.next(); ; m = w.next() {
		if m.Type == "snapshot" {
			if len(m.Officers) != 1 || !m.Officers[0].Driver.IsZero() || len(m.Positions) != 1 || !m.Positions[0].Driver.IsZero() || m.Positions[0].Lat != 51.51 {
				t.Errorf("the snapshot is %+v", m)
			}
			break
		}
		if m.To == "" || m.Data != nil {
			t.Errorf("a guest is told %+v", m)
		}
	}
	h.fix(driver, 2, 51.52)
	if p := w.expect("position"); p.Lat != 51.52 || !p.Driver.IsZero() || p.Seat != 1 || !p.Lead {
		t.Errorf("the position is %+v", p)
	}
	_, _, _, other := h.trip()
	for _, refused := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/api/tracking/" + other.String() + "/events", http.StatusNotFound},
		{"GET", "/api/bookings/" + id.String(), http.StatusForbidden},
		{"GET", path, http.StatusForbidden},
		{"GET", "/api/users/me", http.StatusForbidden},
		{"POST", "/api/tickets", http.StatusForbidden},
		{"GET", "/api/drivers/" + driver.String() + "/location", http.StatusForbidden},
	} {
		var body any
		if refused.method == "POST" {
			body = map[string]any{"opens": "chat", "trip_id": id.String()}
		}
		if a := guest.do(refused.method, refused.path, body); a.StatusCode != refused.status {
			t.Errorf("%s %s by a guest: %s, want %d", refused.method, refused.path, a.Status, refused.status)
		}
	}
	// A browser's WebSocket sends no header: a guest has tickets, for this trip alone, as
	// long as the link is live.
	ticketed, _, err := h.dial("/api/tracking/"+id.String()+"?ticket="+guest.ticket("tracking", id), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ticketed.Close() //nolint:errcheck // the hub has ended it
	if told := (&spectator{t, ticketed}).next(); told.Type != "snapshot" || !told.Officers[0].Driver.IsZero() {
		t.Errorf("by a ticket a guest is told %+v", told)
	}
	if _, resp, err := h.dial("/api/tracking/"+other.String()+"?ticket="+guest.ticket("tracking", other), nil); err == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a guest's ticket for another trip: %v", resp)
	}
	kept, again := guest.ticket("tracking", id), guest.ticket("events", id)
	stranger := h.person(fleet.RoleRider)
	problem(t, stranger.do("POST", path, map[string]any{"until": "1_h"}), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, stranger.do("DELETE", path+"/"+made.ID.String(), nil), http.StatusNotFound, fleet.CodeNotFound)

	rider.must(http.StatusNoContent, "DELETE", path+"/"+made.ID.String(), nil)
	w.ends(closedShareOver)
	if kind, _, data := lastEvent(events); kind != "end" || !strings.Contains(data, "share_over") {
		t.Errorf("the event stream ends with %s %s", kind, data)
	}
	if a := h.exchange(made.URL); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked link: %s", a.Status)
	}
	for what, ticket := range map[string]string{"": kept, "/events": again} {
		if _, resp, err := h.dial("/api/tracking/"+id.String()+what+"?ticket="+ticket, nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a ticket of a revoked link: %v", resp)
		}
	}
	if _, resp, err := h.dial("/api/tracking/"+id.String(), bearerOf(guest.token)); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token of a revoked link: %v", resp)
	}
	list := as[struct{ Items []Share }](t, rider.must(http.StatusOK, "GET", path, nil)).Items
	if len(list) != 1 || list[0].Live || list[0].RevokedAt.IsZero() || list[0].Opened != 1 || list[0].Label != "Bo" {
		t.Errorf("the list is %+v", list)
	}
	h.stop()
	if log := h.log.String(); strings.Contains(log, made.URL[len("https://hub.example/watch#"):]) || strings.Contains(log, guest.token) {
		t.Error("the link is in the log")
	}
}

// lastEvent reads up to the event that ends a stream.
func lastEvent(s *stream) (kind, id, data string) {
	for kind != "end" {
		kind, id, data = s.event()
	}
	return kind, id, data
}

func TestALinkEndsWhenItWasSaidThatItWould(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, driver, id := h.trip()
	path := "/api/bookings/" + id.String() + "/shares"
	half, arrival, trip := rider.shared(path, "30_min"), rider.shared(path, "arrival"), rider.shared(path, "trip_end")
	h.clock.Advance(25 * time.Minute)
	rider.renew()
	w := h.guest(half.URL).watch(id, "")
	w.expect("snapshot")
	h.clock.Advance(5 * time.Minute)
	w.ends(closedShareOver)
	byArrival, byTrip := h.guest(arrival.URL).watch(id, ""), h.guest(trip.URL).watch(id, "")
	byArrival.expect("snapshot")
	byTrip.expect("snapshot")
	h.change(id, func(c *schema.BookingTx) error {
		return c.Note(schema.Event{Kind: "reached_destination", Data: map[string]any{"driver": driver, "seat": 1}})
	})
	if before := byArrival.ends(closedShareOver); len(before) != 1 || before[0].Kind != "reached_destination" {
		t.Errorf("up to the arrival: %+v", before)
	}
	// A link that is made there is for where they go on to.
	h.clock.Advance(time.Second)
	if err := h.sessions.Prove(t.Context(), rider.id, rider.session, true); err != nil {
		t.Fatal(err)
	}
	if a := h.exchange(rider.shared(path, "arrival").URL); a.StatusCode != http.StatusOK {
		t.Errorf("a link up to the next arrival: %s", a.Status)
	}
	if m := byTrip.expect("state"); m.Kind != "reached_destination" || !m.Driver.IsZero() {
		t.Errorf("a guest was told %+v", m)
	}
	h.move(id, fleet.Cancelled, "cancelled")
	if before := byTrip.ends(closedTripOver); len(before) != 1 || before[0].To != "cancelled" {
		t.Errorf("up to the end: %+v", before)
	}
	for what, link := range map[string]string{"half an hour": half.URL, "arrival": arrival.URL, "trip": trip.URL, "none": "#arms_nothing"} {
		if a := h.exchange(link); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("after its end, the link for %s: %s", what, a.Status)
		}
	}
	if err := h.sessions.Prove(t.Context(), rider.id, rider.session, true); err != nil {
		t.Fatal(err)
	}
	problem(t, rider.do("POST", path, map[string]any{"until": "1_h"}), http.StatusNotFound, fleet.CodeNotFound)
}

// Whoever watches by a link does so no longer than its owner may share: a suspension
// ends every line that was opened by one. Nobody who is protected is erased, so that
// there is no line then.
func TestALinkEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, _, id := h.trip()
	link := rider.shared("/api/bookings/"+id.String()+"/shares", "trip_end").URL
	w := h.guest(link).watch(id, "")
	w.expect("snapshot")
	events := h.stream("/api/tracking/"+id.String()+"/events", bearerOf(h.guest(link).token))
	events.event()
	problem(t, rider.do("POST", "/api/users/erase", map[string]any{"confirm": rider.id.String() + "@example.com"}), http.StatusConflict, fleet.CodeConflict)
	h.must(http.StatusNoContent, "POST", "/api/users/"+rider.id.String()+"/suspend", map[string]any{"reason": "x"})
	w.ends(closedSession)
	if rest, err := io.ReadAll(events.body); err != nil || !strings.Contains(string(rest), "event: end\n") {
		t.Errorf("the event stream says %q, %v", rest, err)
	}
	if a := h.exchange(link); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the link still opens: %s", a.Status)
	}
}
