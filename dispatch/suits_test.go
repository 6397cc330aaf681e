package dispatch

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/live"
)

// able makes an officer a little farther away who has what any principal may wish for.
func (s *scene) able() fleet.DriverID {
	s.t.Helper()
	d := s.officer(strand.Lat+0.002, strand.Lon)
	s.sql(`UPDATE drivers SET gender = 'female', languages = '{en-GB,fr-CA}', tiers = '{executive}' WHERE id = $1`, d)
	s.sql(`INSERT INTO documents (id, driver, kind, number, category, expires, status, submitted, submitted_by, verified, verified_by)
		VALUES (gen_random_uuid(), $1, 'certification', '', 'First aid', $2, 'verified', $3, 'test', $3, 'test')`, d, noon.AddDate(1, 0, 0), noon)
	s.index.Describe(fleet.Unit(d), live.ClassOf(fleet.Essential, fleet.Executive), live.OnDuty)
	return d
}

func (s *scene) sql(statement string, args ...any) {
	s.t.Helper()
	_, err := s.db.Pool().Exec(s.t.Context(), statement, args...)
	check(s.t, err)
}

// Who does not suit a booking is not offered it, however near, nor sees it among the open
// work, nor gets it by asking. Ops may assign them all the same, unless they may not work.
func TestOnlyWhoSuitsGetsTheWork(t *testing.T) {
	t.Parallel()
	none := func(*fleet.Booking) {}
	// Else it is their car that is unfit: a lead who is driven shows that they are.
	driven := func(b *fleet.Booking) { b.ClientVehicle = true }
	soon := noon.Add(7 * time.Hour) // in the middle of the work
	for name, c := range map[string]struct {
		asks func(*fleet.Booking)
		lack func(s *scene, d fleet.DriverID)
		ops  fleet.Code // of what they are told; "": it is done
	}{
		"another tier":              {asks: func(b *fleet.Booking) { b.Tier = fleet.Executive }},
		"of another gender":         {asks: func(b *fleet.Booking) { b.Gender = fleet.GenderFemale }},
		"does not speak French":     {asks: func(b *fleet.Booking) { b.Languages = []string{"fr"} }},
		"without the certification": {asks: func(b *fleet.Booking) { b.Certifications = []string{"first aid"} }},
		"without a car": {lack: func(s *scene, d fleet.DriverID) {
			s.sql(`UPDATE vehicles SET driver = NULL WHERE driver = $1`, d)
		}},
		"blocked": {lack: func(s *scene, d fleet.DriverID) {
			s.sql(`INSERT INTO officer_wishes (user_id, driver_id, wish, wished) VALUES ($1, $2, 'blocked', $3)`, s.user, d, noon)
		}},
		"the licence runs out": {asks: driven, ops: fleet.CodeConflict, lack: func(s *scene, d fleet.DriverID) {
			s.sql(`UPDATE documents SET expires = $2 WHERE driver = $1 AND kind = 'sia_licence'`, d, soon)
		}},
		"the right to work runs out": {asks: driven, ops: fleet.CodeConflict, lack: func(s *scene, d fleet.DriverID) {
			s.sql(`UPDATE documents SET expires = $2, reverify = $2 WHERE driver = $1 AND kind = 'right_to_work'`, d, soon)
		}},
		"the licence is not close protection": {asks: driven, ops: fleet.CodeConflict, lack: func(s *scene, d fleet.DriverID) {
			s.sql(`UPDATE documents SET category = 'door_supervision' WHERE driver = $1 AND kind = 'sia_licence'`, d)
		}},
		"suspended": {asks: driven, ops: fleet.CodeConflict, lack: func(s *scene, d fleet.DriverID) {
			u := fleet.NewID[fleet.User]()
			s.sql(`INSERT INTO users (id, email, name, roles, created, suspended) VALUES ($1, 'bo@example.com', 'Bo', '{driver}', $2, $2)`, u, noon)
			s.sql(`UPDATE drivers SET user_id = $2 WHERE id = $1`, d, u)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			d, able := s.officers(1)[0], s.able()
			if c.asks == nil {
				c.asks = none
			}
			if c.lack != nil {
				c.lack(s, d)
			}
			b := s.book(later(6*time.Hour), c.asks)
			for who, want := range map[fleet.DriverID]int{d: 0, able: 1} {
				if got := must(s.OpenFor(t.Context(), who))(t); len(got) != want {
					t.Errorf("sees %+v, want %d", got, want)
				}
			}
			_, err := s.Ask(t.Context(), d, b.ID, officer)
			wantCode(t, err, fleet.CodeNotFound)
			s.clock.Advance(6*time.Hour - 30*time.Minute)
			s.see(d, strand.Lat, strand.Lon)
			s.see(able, strand.Lat+0.002, strand.Lon)
			s.step(0)
			if _, asked := s.offer(d); asked {
				t.Error("they are asked")
			}
			s.mustOffer(able)
			_, err = s.Assign(t.Context(), ByHand{Booking: b.ID, Driver: d, Reason: "asked for", By: fleet.Actor{Kind: fleet.ByOps}})
			if c.ops != "" {
				wantCode(t, err, c.ops)
				s.mustOffer(able)
				return
			}
			check(t, err)
			if got := s.is(b.ID, fleet.Assigned); got.Lead().Driver != d {
				t.Errorf("the lead is %s", got.Lead().Driver)
			}
		})
	}
}

// Whoever is not heard of, has a break or is off duty is offered nothing, however near,
// until they are back.
func TestOnlyWhoIsThereIsAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(4)
	silent, resting, off, there := drivers[0], drivers[1], drivers[2], drivers[3]
	check(t, s.duty(resting, fleet.OnBreak))
	check(t, s.duty(off, fleet.OffDuty))
	s.clock.Advance(freshFor + time.Second)
	for _, d := range drivers[1:] {
		s.see(d, strand.Lat, strand.Lon)
	}
	s.book()
	s.step(0)
	s.accept(there)
	s.book()
	s.step(0)
	if open := must(s.offers.Open(t.Context()))(t); len(open) != 0 {
		t.Fatalf("asked are %+v", open)
	}
	s.see(silent, strand.Lat, strand.Lon)
	s.step(tickEvery)
	s.accept(silent)
	check(t, s.duty(resting, fleet.OnDuty))
	s.book()
	s.step(0)
	s.accept(resting)
}

// An officer is not sent to protect themselves: they are not asked, see no open work of their
// own, and are not assigned by hand.
func TestAnOfficerIsNotTheirOwnPrincipal(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	drivers := s.officers(2)
	for _, sql := range []string{`UPDATE users SET roles = '{rider,driver}' WHERE id = $1`, `UPDATE drivers SET user_id = $1 WHERE id = '` + drivers[0].String() + `'`} {
		_, err := s.db.Pool().Exec(t.Context(), sql, s.user)
		check(t, err)
	}
	b := s.book()
	s.step(0)
	if _, asked := s.offer(drivers[0]); asked {
		t.Error("they are asked to protect themselves")
	}
	s.accept(drivers[1])
	s.is(b.ID, fleet.Assigned)
	ahead := s.book(later(24 * time.Hour))
	if work := must(s.OpenFor(t.Context(), drivers[0]))(t); len(work) != 0 {
		t.Errorf("they see %+v", work)
	}
	_, err := s.Ask(t.Context(), drivers[0], ahead.ID, officer)
	wantCode(t, err, fleet.CodeNotFound)
	ops := fleet.Actor{Kind: fleet.ByOps}
	_, err = s.Assign(t.Context(), ByHand{Booking: ahead.ID, Driver: drivers[0], Reason: "asked for", By: ops})
	wantCode(t, err, fleet.CodeConflict)
}
