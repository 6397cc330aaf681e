package safety

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestAPressOpensJoinsAndNeverReopens(t *testing.T) {
	t.Parallel()
	w := newWorld(t).open()
	ada, eve, ops := w.person(fleet.RoleRider), w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
	press := fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: ada}, Type: fleet.SOSOther, Via: "rest"}
	first, err := w.Raise(press)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Raise(press); err != nil || again.ID != first.ID || len(again.Timeline) != len(first.Timeline) {
		t.Errorf("the same press again: %v, %+v", err, again)
	}
	second := press
	second.Client, second.Type, second.Place = fleet.NewID[fleet.SOSCall](), fleet.SOSThreat, &fleet.SOSPlace{Lat: 51.5, Lon: -0.1}
	if joined, err := w.Raise(second); err != nil || joined.ID != first.ID || joined.Type != fleet.SOSThreat || joined.Place == nil {
		t.Errorf("another press: %v, %+v", err, joined)
	}
	theirs := second
	theirs.User = eve // ids are the apps' to choose: another's says nothing
	if other, err := w.Raise(theirs); err != nil || other.ID == first.ID {
		t.Errorf("another person's press: %v, %v", err, other.ID)
	}
	closed, err := w.Finish(t.Context(), first.ID, End{By: ops, Outcome: fleet.SOSResolved, Note: "she is safe"})
	if err != nil || closed.Shown() != fleet.SOSIsClosed {
		t.Fatalf("%v, %+v", err, closed)
	}
	w.clock.Advance(time.Hour)
	for _, client := range []fleet.SOSClientID{press.Client, second.Client} { // late, of either
		late := press
		late.Client = client
		if s, err := w.Raise(late); err != nil || s.ID != first.ID || s.Closed.IsZero() {
			t.Errorf("a press that was late: %v, %+v", err, s)
		}
	}
	if s := w.raise(ada); s.ID == first.ID {
		t.Error("a new press joins what is closed")
	}
	if _, err := w.Finish(t.Context(), first.ID, End{By: ops, Outcome: fleet.SOSFalseAlarm}); fleet.CodeOf(err) != fleet.CodeConflict {
		t.Errorf("closed twice: %v", err)
	}
	got := w.stored(first.ID)
	if want := []fleet.SOSKind{fleet.SOSRaised, fleet.SOSJoined, fleet.SOSClosed}; !slices.Equal(kinds(&got), want) {
		t.Errorf("the timeline has %v, want %v", kinds(&got), want)
	}
	if broken, err := w.table.Broken(t.Context(), first.ID); err != nil || broken != 0 {
		t.Errorf("the chain breaks at %d, %v", broken, err)
	}
}

func TestTheJournalOutlivesItsHub(t *testing.T) {
	t.Parallel()
	db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
	dying := newWorldOn(t, db, dir, clock) // never opened: nothing is stored, as when the database is away
	ada := dying.person(fleet.RoleRider)
	first := dying.raise(ada)
	if _, err := dying.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}}); err != nil {
		t.Fatal(err)
	}
	second := dying.raise(ada)
	// A line that the kill has cut.
	file, err := os.OpenFile(filepath.Join(dir, "sos.journal"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("\nc29zLWpvdX"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second finds all stored
		w := newWorldOn(t, db, dir, clock).open()
		if s := w.stored(first.ID); s.Shown() != fleet.SOSIsCancelled {
			t.Errorf("the first is %s", s.Shown())
		}
		s := w.stored(second.ID)
		if s.Shown() != fleet.SOSIsRaised || s.User != ada {
			t.Errorf("the second is %s of %s", s.Shown(), s.User)
		}
		if again, err := w.Raise(fleet.SOSCall{Client: s.Clients[0], Raiser: fleet.Raiser{User: ada}}); err != nil || again.ID != second.ID {
			t.Errorf("its press is not known any more: %v", err)
		}
		w.Close()
		left, damaged, err := w.journal.read() // what is open; what the hub itself did last may be in it too
		over := func(e fleet.SOSEntry) bool { return e.By != Hub && e.SOS != second.ID }
		if err != nil || damaged > 0 || slices.ContainsFunc(left, over) || len(left) == 0 {
			t.Errorf("the journal holds %+v, %d lines are damaged, %v", left, damaged, err)
		}
	}
	if set, err := filepath.Glob(filepath.Join(dir, "sos.journal.damaged-*")); err != nil || len(set) != 1 {
		t.Errorf("set aside: %v, %v", set, err)
	}
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		after  time.Duration
		code   string
		shown  fleet.SOSStatus
		over   bool
		duress bool
		asked  bool
	}{
		{"in time", fleet.CancelWindow, "", fleet.SOSIsCancelled, true, false, false},
		{"with any code", 0, "1234", fleet.SOSIsCancelled, true, false, false},
		{"late", fleet.CancelWindow + time.Millisecond, "", fleet.SOSIsRaised, false, false, true},
		{"under duress", time.Second, "9911", fleet.SOSIsCancelled, false, true, false},
		{"under duress, late", time.Minute, "9911", fleet.SOSIsRaised, false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.person(fleet.RoleRider)
			if err := (schema.DuressCodes{DB: w.db}).Set(t.Context(), ada, []byte("hashed 9911"), noon); err != nil {
				t.Fatal(err)
			}
			w.open()
			raised := w.raise(ada)
			w.clock.Advance(c.after)
			for range 2 { // it comes twice
				s, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}, Client: raised.Clients[0], Code: c.code})
				if err != nil || s.Shown() != c.shown || s.Over() != c.over || s.Duress.IsZero() == c.duress || s.CancelAsked.IsZero() == c.asked {
					t.Fatalf("%v, shown as %s, over %v, duress %v, asked %v", err, s.Shown(), s.Over(), s.Duress, s.CancelAsked)
				}
			}
			if s := w.stored(raised.ID); len(kinds(&s)) != 2 || s.Shown() != c.shown {
				t.Errorf("the database has %v, shown as %s", kinds(&s), s.Shown())
			}
		})
	}
}

func TestACancelUnderDuressRaisesWhereNothingWasRaised(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person(fleet.RoleRider)
	if err := (schema.DuressCodes{DB: w.db}).Set(t.Context(), ada, []byte("hashed 9911"), noon); err != nil {
		t.Fatal(err)
	}
	w.open()
	plain, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}, Code: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	forced, err := w.Cancel(t.Context(), Cancel{Raiser: fleet.Raiser{User: ada}, Code: "9911"})
	if err != nil || forced.ID != plain.ID || forced.Shown() != plain.Shown() {
		t.Errorf("they can be told apart: %+v, %+v, %v", plain, forced, err)
	}
	open, err := w.List(t.Context(), true, fleet.SOSID{}, 10)
	if err != nil || len(open) != 1 || !open[0].Discreet() || open[0].User != ada || open[0].Over() {
		t.Fatalf("%v, %+v", err, open)
	}
	// What they press later, and can be seen to press, is another.
	if s := w.raise(ada); s.ID == open[0].ID || s.Shown() != fleet.SOSIsRaised {
		t.Errorf("a later press: %s, shown as %s", s.ID, s.Shown())
	}
}

func TestOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t).open()
	ada, eve := w.person(fleet.RoleRider), w.person(fleet.RoleRider)
	s := w.raise(ada)
	w.stored(s.ID)
	if got, err := w.Of(t.Context(), ada, s.ID); err != nil || got.ID != s.ID {
		t.Errorf("who raised it: %v", err)
	}
	for _, who := range []fleet.UserID{eve, {}} {
		if _, err := w.Of(t.Context(), who, s.ID); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("%s: %v", who, err)
		}
	}
	for _, c := range []Cancel{
		{Raiser: fleet.Raiser{User: eve}, SOS: s.ID}, {Raiser: fleet.Raiser{User: eve}, Client: s.Clients[0]}, {Raiser: fleet.Raiser{User: eve}},
	} {
		if got, err := w.Cancel(t.Context(), c); err != nil || got.ID == s.ID {
			t.Errorf("eve cancels it: %v, %v", got.ID, err)
		}
	}
	if got, err := w.Get(t.Context(), s.ID); err != nil || got.Over() {
		t.Errorf("%v, over %v", err, got.Over())
	}
}

func TestWhatFollowsFromAnSOS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, ops := w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
	phone := w.phone(ada)
	w.open()
	call := fleet.SOSCall{Raiser: fleet.Raiser{User: ada, Device: phone}, Type: fleet.SOSMedical, Via: "mqtt"}
	s, err := w.Raise(call)
	if err != nil {
		t.Fatal(err)
	}
	if at := fleet.MillisOf(noon); !w.Follows(ada, at) || w.Follows(ops, at) || w.Follows(ada, at-fleet.Millis(time.Hour.Milliseconds())) {
		t.Error("whose phone is followed, and when")
	}
	count := func(sql string, args ...any) (n int) {
		t.Helper()
		if err := w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+sql, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	w.stored(s.ID)
	for sql, want := range map[string]int{
		`legal_holds WHERE released IS NULL AND user_id = '` + ada.String() + `'`:                                     1,
		`legal_holds WHERE released IS NULL AND device = '` + phone.String() + `'`:                                    1,
		`alerts WHERE kind = 'sos' AND closed IS NULL AND id = '` + s.ID.String() + `'`:                               1,
		`notices WHERE channel = 'inbox' AND user_id = '` + ops.String() + `' AND once = 'sos/` + s.ID.String() + `'`: 1, // with the reference of all other copies
		`events WHERE kind = 'sos' AND device = '` + phone.String() + `'`:                                             1,
		`sos WHERE ended IS NULL AND user_id = '` + ada.String() + `'`:                                                1,
	} {
		if got := count(sql); got != want {
			t.Errorf("%d of %s, want %d", got, sql, want)
		}
	}
	commanded := func(hertz string) func() bool {
		return func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Contains(w.commands, phone.String()+` position_rate {"hz":`+hertz+`}`)
		}
	}
	w.until("the phone to be asked for more positions", commanded("1"))
	if _, err := w.Finish(t.Context(), s.ID, End{By: ops, Outcome: fleet.SOSFalseAlarm, Note: "a pocket"}); err != nil {
		t.Fatal(err)
	}
	w.until("the phone to be asked for no more", commanded("0"))
	w.stored(s.ID)
	if n := count(`legal_holds WHERE released IS NULL`); n != 0 {
		t.Errorf("%d holds stand after a false alarm", n)
	}
	if n := count(`alerts WHERE closed IS NULL`); n != 0 {
		t.Errorf("%d alerts stand", n)
	}
	w.clock.Advance(time.Minute)
	if w.Follows(ada, fleet.MillisOf(w.clock.Now())) {
		t.Error("the phone is followed on")
	}
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE sos_entries SET by = 'nobody'`); err == nil {
		t.Error("the timeline can be changed")
	}
}

func TestADamagedChainIsFound(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newWorldOn(t, db, t.TempDir(), fleet.NewManualClock(noon)).open()
		s := w.raise(w.person(fleet.RoleRider))
		w.stored(s.ID)
		w.until("the phones to have been seen to", func() bool {
			got := w.stored(s.ID)
			return len(got.Timeline) == 2
		})
		w.Close()
		w.exec(`ALTER TABLE sos_entries DISABLE TRIGGER ALL`)
		w.exec(`UPDATE sos_entries SET at = at + interval '1 second' WHERE seq = 2`)
		if at, err := w.table.Broken(t.Context(), s.ID); err != nil || at != 2 {
			t.Errorf("an entry that was changed is found at %d, %v", at, err)
		}
		w.exec(`DELETE FROM sos_entries WHERE seq = 2`)
		if at, err := w.table.Broken(t.Context(), s.ID); err != nil || at != 2 {
			t.Errorf("an entry that was taken away is found at %d, %v", at, err)
		}
	})
}

// Who cannot be told that it is written down is told to try again, also if the disk
// took it and does not say that it keeps it; everybody else is told of it all the same.
func TestAJournalThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"a disk that takes nothing": func(path string) error { return os.Mkdir(path, 0o700) },
		"a disk that keeps nothing": func(path string) error { // a pipe takes what is written, and has no fsync
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				return err
			}
			reader, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				t.Cleanup(func() { _ = reader.Close() })
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.person(fleet.RoleRider)
			w.person(fleet.RoleDispatcher)
			w.open()
			path := filepath.Join(w.dir, "sos.journal")
			w.Watch.mu.Lock()
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			w.Watch.mu.Unlock()
			call := fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: ada}, Via: "rest"}
			_, err := w.Raise(call)
			if fleet.CodeOf(err) != fleet.CodeUnavailable {
				t.Errorf("it is answered with %v", err)
			}
			w.until("ops to be told all the same", func() bool { return w.took("safety_sos", fleet.MailChannel) == 1 })
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			s, err := w.Raise(call)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.stored(s.ID); kinds(&got)[0] != fleet.SOSRaised {
				t.Errorf("the database has %v", kinds(&got))
			}
		})
	}
}

func TestTheTripOfAnSOSAndItsPhones(t *testing.T) {
	t.Parallel()
	ada, bo, driver := fleet.NewID[fleet.User](), fleet.NewID[fleet.User](), fleet.NewID[fleet.Driver]()
	soon, now, other := fleet.NewID[fleet.Booking](), fleet.NewID[fleet.Booking](), fleet.NewID[fleet.Booking]()
	phone := func(user fleet.UserID, driver fleet.DriverID, kind fleet.DeviceKind) schema.DeviceLogin {
		return schema.DeviceLogin{Identity: fleet.Identity{Device: fleet.NewID[fleet.Device](), Kind: kind, User: user, Driver: driver}}
	}
	b := newBook(&schema.SOSBook{
		Officers: []schema.SOSOfficer{{Driver: driver, User: bo}},
		Trips: []schema.SOSTrip{
			{Booking: soon, Principal: ada, Drivers: []fleet.DriverID{driver}},
			{Booking: now, Principal: ada, Drivers: []fleet.DriverID{driver}, Active: true},
			{Booking: other, Principal: fleet.NewID[fleet.User](), Active: true},
		},
		Devices: []schema.DeviceLogin{
			phone(ada, fleet.DriverID{}, fleet.Phone), phone(bo, driver, fleet.Phone), phone(fleet.UserID{}, driver, fleet.Tracker),
			phone(fleet.NewID[fleet.User](), fleet.DriverID{}, fleet.Phone),
		},
	})
	for _, c := range []struct {
		call fleet.SOSCall
		want fleet.BookingID
	}{
		{fleet.SOSCall{Raiser: fleet.Raiser{User: ada}}, now},
		{fleet.SOSCall{Raiser: fleet.Raiser{User: ada}, Trip: soon}, soon},
		{fleet.SOSCall{Raiser: fleet.Raiser{User: ada}, Trip: other}, now}, // not hers
		{fleet.SOSCall{Raiser: fleet.Raiser{User: bo, Driver: driver}}, now},
		{fleet.SOSCall{Raiser: fleet.Raiser{Device: fleet.NewID[fleet.Device]()}}, fleet.BookingID{}},
	} {
		if got := b.tripOf(&c.call); got != c.want {
			t.Errorf("%+v is on %s, want %s", c.call, got, c.want)
		}
	}
	s := fleet.SOS{SOSCall: fleet.SOSCall{Raiser: fleet.Raiser{User: ada}, Trip: now}}
	if got, want := b.phones(&s), []fleet.DeviceID{b.Devices[0].Identity.Device, b.Devices[1].Identity.Device}; !slices.Equal(got, want) {
		t.Errorf("the phones are %v, want %v", got, want)
	}
}
