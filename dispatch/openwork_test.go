package dispatch

import (
	"testing"
	"time"

	"armora/fleet"
)

// Officers see, and get, planned work that they have the hours for: in this shift, or
// after as much rest as they have had work.
func TestOpenWorkHeedsHours(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.officer(strand.Lat, strand.Lon)
	soon, tomorrow := s.book(later(13*time.Hour)), s.book(later(24*time.Hour))
	s.clock.Advance(11 * time.Hour) // at work, with one hour left
	s.see(d, strand.Lat, strand.Lon)
	sees := func(want ...fleet.BookingID) {
		t.Helper()
		work := must(s.OpenFor(t.Context(), d))(t)
		for i := range work {
			if i >= len(want) || work[i].Booking != want[i] {
				t.Errorf("open work is %+v, want %v", work, want)
			}
		}
		if len(work) != len(want) {
			t.Errorf("%d bookings are open, want %d", len(work), len(want))
		}
	}
	sees(tomorrow.ID)
	_, err := s.Ask(t.Context(), d, soon.ID, officer)
	wantCode(t, err, fleet.CodeNotFound)
	other := s.officer(strand.Lat, strand.Lon) // who has just come
	must(s.Ask(t.Context(), other, soon.ID, officer))(t)
	must(s.Ask(t.Context(), d, tomorrow.ID, officer))(t)
	sees()
}
