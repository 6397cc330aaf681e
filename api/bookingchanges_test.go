package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/fleet"
)

func TestChangingABooking(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, staff := h.person(fleet.RoleRider), h.person(fleet.RoleDispatcher)
	b := ada.book(tomorrow)
	path := "/api/bookings/" + b.ID.String()
	send := func(p *person, method, path, version string, body any) answer {
		t.Helper()
		r := h.request(method, path, body)
		r.Header.Set("Authorization", "Bearer "+p.token)
		r.Header.Set("If-Match", version)
		return h.send(r)
	}
	a := send(ada, "PATCH", path, `"1"`, map[string]any{"minutes": 240, "stops": []any{map[string]any{"lat": 51.4, "lon": -0.2}}, "notes": "ring"})
	dearest := as[Booking](t, a)
	if got := dearest; a.StatusCode != http.StatusOK || a.Header.Get("ETag") != `"2"` || got.Minutes != 240 || got.Total.Amount <= b.Total.Amount || len(got.Stops) != 1 || got.Notes != "ring" {
		t.Errorf("edited: %s %s", a.Status, a.body)
	}
	for _, c := range []answer{
		send(ada, "PATCH", path, `"1"`, map[string]any{"notes": "x"}), send(ada, "PUT", path+"/cancel", `"1"`, map[string]any{}),
		send(staff, "PUT", path+"/waive", `"1"`, map[string]any{"reason": "x"}), send(ada, "PATCH", path, `W/"2"`, map[string]any{"notes": "x"}),
	} {
		problem(t, c, http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
	}
	got := as[Booking](t, ada.must(http.StatusOK, "PATCH", path, map[string]any{"stops": []any{}, "local_start": "2026-03-29T10:00"}))
	if got.Stops != nil || !got.StartsAt.Equal(time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("edited: %+v", got)
	}
	problem(t, ada.do("PATCH", path, map[string]any{"local_start": "2026-03-29T01:30"}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	problem(t, ada.do("PATCH", path, map[string]any{"total": 1}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	problem(t, ada.do("POST", path+"/rate", map[string]any{"stars": 5}), http.StatusConflict, fleet.CodeConflict)
	problem(t, ada.do("POST", path+"/rate", map[string]any{"stars": 6}), http.StatusUnprocessableEntity, fleet.CodeInvalid)

	// That it was made cheaper first does not make it cheaper to cancel.
	got = as[Booking](t, ada.must(http.StatusOK, "PUT", path+"/cancel", map[string]any{"reason": "plans have changed"}))
	if got.Status != fleet.Cancelled || got.Fee == nil || got.Fee.Amount != (dearest.Total.Amount*5+50)/100 || got.EndedBy != fleet.ByPrincipal {
		t.Errorf("cancelled: %+v", got)
	}
	problem(t, ada.do("PUT", path+"/cancel", map[string]any{}), http.StatusConflict, fleet.CodeConflict)
	problem(t, ada.do("PUT", path+"/waive", map[string]any{"reason": "x"}), http.StatusForbidden, fleet.CodeForbidden)
	got = as[Booking](t, staff.must(http.StatusOK, "PUT", path+"/waive", map[string]any{"reason": "a bereavement"}))
	if got.Fee.Amount != 0 {
		t.Errorf("waived: %+v", got)
	}
	other := ada.book()
	problem(t, staff.do("PUT", "/api/bookings/"+other.ID.String()+"/cancel", map[string]any{}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	got = as[Booking](t, staff.must(http.StatusOK, "PUT", "/api/bookings/"+other.ID.String()+"/cancel", map[string]any{"reason": "no officers today"}))
	if got.EndedBy != fleet.ByOps || got.Fee.Amount != 0 {
		t.Errorf("cancelled by ops: %+v", got)
	}
}

func TestOfficersToChooseFrom(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	listed := h.officer(map[string]any{"name": "Benjamin Hale", "tier": "executive"})
	list := func(choice string) []Officer {
		t.Helper()
		a := ada.must(http.StatusOK, "GET", "/api/officers?choice="+choice, nil)
		if strings.Contains(string(a.body), "Hale") || strings.Contains(string(a.body), "Benjamin") {
			t.Errorf("who they are is said: %s", a.body)
		}
		return as[page[Officer]](t, a).Items
	}
	if got := list("approved"); len(got) != 0 {
		t.Errorf("listed are %+v", got)
	}
	approval := "/api/drivers/" + listed.String() + "/approval"
	problem(t, h.do("PUT", approval, map[string]any{"approved": true}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	h.must(http.StatusNoContent, "PUT", approval, map[string]any{"approved": true, "alias": "Kestrel"})
	if got := list("approved"); len(got) != 1 || got[0].Alias != "Kestrel" || got[0].Tiers[0] != "executive" {
		t.Errorf("listed are %+v", got)
	}
	wish := h.knownOfficer(ada)
	if got := list("past"); len(got) != 1 || got[0].Wish != fleet.Blocked || !strings.HasPrefix(got[0].Alias, "Officer ") {
		t.Errorf("of the past are %+v", got)
	}
	ada.must(http.StatusNoContent, "PUT", wish, map[string]any{"wish": "favourite"})
	if got := list("favourite"); len(got) != 1 || len(list("blocked")) != 0 {
		t.Errorf("favourites are %+v", got)
	}
	ada.must(http.StatusNoContent, "DELETE", wish, nil)
	b := as[page[Booking]](t, ada.must(http.StatusOK, "GET", "/api/bookings/history", nil)).Items[0]
	ada.must(http.StatusOK, "POST", "/api/bookings/"+b.ID.String()+"/rate", map[string]any{"stars": 4, "text": "calm"})
	if got := list("past"); got[0].Rating != 4 || got[0].Ratings != 1 || got[0].Wish != "" {
		t.Errorf("rated: %+v", got)
	}
	h.reviewed(ada, b, strings.TrimSuffix(wish, "/wish"))
	ada.book(tomorrow, map[string]any{"preferred_officer_id": listed})
	h.must(http.StatusNoContent, "PUT", approval, map[string]any{"approved": false, "alias": "Kestrel"})
	problem(t, ada.do("POST", "/api/bookings", transfer(map[string]any{"preferred_officer_id": listed})), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

// reviewed walks the words of a rating, "calm", to other principals and back: by
// consent of who wrote them, and of staff, and by nobody else's.
func (h *hub) reviewed(ada *person, b Booking, profile string) {
	h.t.Helper()
	t, publish, decide := h.t, "/api/bookings/"+b.ID.String()+"/review", "/api/reviews/"+b.ID.String()
	bob, vetting := h.person(fleet.RoleRider), h.person(fleet.RoleCompliance)
	problem(t, bob.do("GET", profile, nil), http.StatusNotFound, fleet.CodeNotFound) // not listed, and not of his past
	h.must(http.StatusNoContent, "PUT", strings.Replace(profile, "officers", "drivers", 1)+"/approval", map[string]any{"approved": true, "alias": "Merlin"})
	reads := func(who *person, want ...Review) {
		t.Helper()
		a := who.must(http.StatusOK, "GET", profile, nil)
		if got := as[OfficerProfile](t, a); !slices.Equal(got.Reviews, want) || got.Alias != "Merlin" || got.Rating != 4 ||
			strings.Contains(string(a.body), "Hale") || strings.Contains(string(a.body), b.ID.String()) || strings.Contains(string(a.body), ada.id.String()) {
			t.Errorf("the profile is %s", a.body)
		}
	}
	waiting := func(want int) {
		t.Helper()
		list := as[page[WaitingReview]](t, vetting.must(http.StatusOK, "GET", "/api/reviews", nil)).Items
		if len(list) != want || want == 1 && (list[0].ID != b.ID || list[0].Text != "calm") {
			t.Errorf("to decide on: %+v", list)
		}
	}
	consents := func(let bool, want fleet.ReviewState) {
		t.Helper()
		got := as[Booking](t, ada.must(http.StatusOK, "PUT", publish, map[string]any{"publish": let}))
		if got.Rating == nil || got.Rating.Review != want {
			t.Errorf("the rating is %+v, want it %s", got.Rating, want)
		}
	}
	shown := Review{Stars: 4, Text: "calm", Month: h.clock.Now().Format("2006-01")}

	waiting(0)
	problem(t, vetting.do("PUT", decide, map[string]any{"shown": true}), http.StatusNotFound, fleet.CodeNotFound)
	consents(true, fleet.ReviewWaiting)
	waiting(1)
	reads(bob)
	vetting.must(http.StatusNoContent, "PUT", decide, map[string]any{"shown": true})
	waiting(0)
	reads(bob, shown)
	consents(true, fleet.ReviewShown)
	consents(false, fleet.ReviewPrivate)
	reads(bob)
	consents(true, fleet.ReviewWaiting) // staff read it again
	vetting.must(http.StatusNoContent, "PUT", decide, map[string]any{"shown": true})
	named, hers := h.person(fleet.RoleAdmin), "/api/users/"+ada.id.String()
	h.must(http.StatusNoContent, "PUT", hers+"/viewers/"+named.id.String(), nil)
	restrict := func(restricted bool) {
		named.must(http.StatusNoContent, "PUT", hers+"/restricted", map[string]any{"restricted": restricted})
	}
	restrict(true)
	reads(bob)
	problem(t, vetting.do("PUT", decide, map[string]any{"shown": false}), http.StatusNotFound, fleet.CodeNotFound)
	restrict(false)
	reads(bob, shown)
	vetting.must(http.StatusNoContent, "PUT", decide, map[string]any{"shown": false})
	reads(bob)
	problem(t, ada.do("PUT", publish, map[string]any{"publish": true}), http.StatusConflict, fleet.CodeConflict)
	consents(false, fleet.ReviewRefused)
}

func TestASeriesOfBookings(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleRider)
	order := transfer(tomorrow, map[string]any{"recurrence": map[string]any{"weekdays": []string{"monday", "friday"}, "count": 4}})
	s := as[Series](t, ada.must(http.StatusCreated, "POST", "/api/series", order))
	if s.Made != 4 || fmt.Sprint(s.Recurrence.Weekdays) != "[monday friday]" || s.Recurrence.Every != 1 {
		t.Errorf("made %+v", s)
	}
	own := as[page[Booking]](t, ada.must(http.StatusOK, "GET", "/api/bookings/history", nil)).Items
	if len(own) != 4 || own[0].SeriesID != s.ID || own[0].LocalStart != "2026-03-13T12:00" {
		t.Errorf("booked %+v", own)
	}
	path := "/api/series/" + s.ID.String()
	if list := as[page[Series]](t, ada.must(http.StatusOK, "GET", "/api/series", nil)).Items; len(list) != 1 || list[0].ID != s.ID {
		t.Errorf("listed are %+v", list)
	}
	if ended := as[Series](t, ada.must(http.StatusOK, "PUT", path+"/end", nil)); ended.EndedAt.IsZero() {
		t.Errorf("ended: %+v", ended)
	}
	for _, b := range as[page[Booking]](t, ada.must(http.StatusOK, "GET", "/api/bookings/history", nil)).Items {
		if b.Status != fleet.Cancelled {
			t.Errorf("%s is %s", b.LocalStart, b.Status)
		}
	}
	for _, bad := range []map[string]any{{"count": 1}, {"count": 3, "every_weeks": 5}, {"count": 3, "weekdays": []string{"tuesday"}}, {"count": 3, "weekdays": []string{"someday"}}} {
		problem(t, ada.do("POST", "/api/series", transfer(tomorrow, map[string]any{"recurrence": bad})), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	problem(t, ada.do("POST", "/api/series", transfer(map[string]any{"recurrence": map[string]any{"count": 2}})), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

func TestOpsSetTheTariff(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada, staff := h.person(fleet.RoleRider), h.person(fleet.RoleDispatcher)
	before := as[Quote](t, ada.must(http.StatusCreated, "POST", "/api/quotes", transfer()))
	a := ada.must(http.StatusOK, "GET", "/api/tariff", nil)
	table := as[map[string]any](t, a)
	table["fee"] = 20_00
	set := func(version string) answer {
		r := h.request("PUT", "/api/tariff", table)
		r.Header.Set("Authorization", "Bearer "+staff.token)
		r.Header.Set("If-Match", version)
		return h.send(r)
	}
	if got := set(a.Header.Get("ETag")); got.StatusCode != http.StatusOK || got.Header.Get("ETag") != `"2"` {
		t.Errorf("set: %s %s", got.Status, got.body)
	}
	problem(t, set(a.Header.Get("ETag")), http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
	after := as[Quote](t, ada.must(http.StatusCreated, "POST", "/api/quotes", transfer()))
	if after.Total.Amount != before.Total.Amount+10_00 || after.Price.Tariff != 2 {
		t.Errorf("%+v, and %+v before", after.Price, before.Price)
	}
	if b := as[Booking](t, ada.must(http.StatusCreated, "POST", "/api/bookings", map[string]any{"quote_id": before.ID})); *b.Total != before.Total {
		t.Errorf("a quote of before is booked at %v", b.Total)
	}
	finance := h.person(fleet.RoleFinance)
	table["fee"], table["valid_from"] = 30_00, "2026-09-01T00:00:00+01:00"
	staff = finance
	if got := set(`"2"`); got.StatusCode != http.StatusOK {
		t.Errorf("set by finance: %s %s", got.Status, got.body)
	}
	editions := as[page[TariffEdition]](t, finance.must(http.StatusOK, "GET", "/api/tariffs?limit=2", nil))
	if list := editions.Items; len(list) != 2 || editions.Next == "" || list[0].Tariff.Version != 3 || list[0].SetBy != finance.id ||
		!list[0].Tariff.ValidFrom.Equal(time.Date(2026, 8, 31, 23, 0, 0, 0, time.UTC)) || list[1].Tariff.Version != 2 || !list[1].SetAt.Equal(noon) {
		t.Errorf("the editions are %+v", editions)
	}
	last := as[page[TariffEdition]](t, finance.must(http.StatusOK, "GET", "/api/tariffs?cursor="+editions.Next, nil))
	if len(last.Items) != 1 || last.Items[0].Tariff.Version != 1 || last.Next != "" {
		t.Errorf("the rest are %+v", last)
	}
	if got := as[map[string]any](t, ada.must(http.StatusOK, "GET", "/api/tariff", nil)); got["fee"] != 20_00.0 {
		t.Errorf("a tariff that is to come counts: %v", got)
	}
	table["vat"] = 101
	if p := problem(t, set(`"3"`), http.StatusUnprocessableEntity, fleet.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.vat" {
		t.Errorf("the flaws are %+v", p.Errors)
	}
}
