package safety

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

// book is what a hub knows by heart, with the ways into it. It is never changed.
type book struct {
	*schema.SOSBook
	users   map[fleet.DriverID]fleet.UserID
	drivers map[fleet.UserID]fleet.DriverID
	duress  map[fleet.UserID][]byte
}

func newBook(b *schema.SOSBook) *book {
	k := &book{
		SOSBook: b, users: make(map[fleet.DriverID]fleet.UserID), drivers: make(map[fleet.UserID]fleet.DriverID),
		duress: make(map[fleet.UserID][]byte),
	}
	for _, o := range b.Officers {
		k.users[o.Driver], k.drivers[o.User] = o.User, o.Driver
	}
	for _, d := range b.Duress {
		k.duress[d.User] = d.Hash
	}
	return k
}

func (b *book) userOf(driver fleet.DriverID) fleet.UserID { return b.users[driver] }
func (b *book) driverOf(user fleet.UserID) fleet.DriverID { return b.drivers[user] }
func (b *book) person(user fleet.UserID) *schema.SOSPerson {
	for i := range b.Ops {
		if b.Ops[i].User == user {
			return &b.Ops[i]
		}
	}
	return nil
}

// tripOf returns the trip that somebody is on: the one that they name, if they are on
// that, else one that is under way, else one that is about to be.
func (b *book) tripOf(call *fleet.SOSCall) fleet.BookingID {
	var found *schema.SOSTrip
	for i := range b.Trips {
		t := &b.Trips[i]
		on := !call.User.IsZero() && t.Principal == call.User || !call.Driver.IsZero() && slices.Contains(t.Drivers, call.Driver)
		switch {
		case !on:
		case t.Booking == call.Trip:
			return t.Booking
		case found == nil || t.Active && !found.Active:
			found = t
		}
	}
	if found == nil {
		return fleet.BookingID{}
	}
	return found.Booking
}

// phones are those of everybody on the trip of an SOS, with the device that it was
// raised by.
func (b *book) phones(s *fleet.SOS) []fleet.DeviceID {
	users, drivers := []fleet.UserID{s.User}, []fleet.DriverID{s.Driver}
	for i := range b.Trips {
		if t := &b.Trips[i]; t.Booking == s.Trip {
			users, drivers = append(users, t.Principal), append(drivers, t.Drivers...)
		}
	}
	var phones []fleet.DeviceID
	if !s.Device.IsZero() {
		phones = append(phones, s.Device)
	}
	for i := range b.Devices {
		d := &b.Devices[i].Identity
		theirs := !d.User.IsZero() && slices.Contains(users, d.User) || !d.Driver.IsZero() && slices.Contains(drivers, d.Driver)
		if d.Kind == fleet.Phone && theirs && d.Device != s.Device {
			phones = append(phones, d.Device)
		}
	}
	return phones
}

const (
	bookEvery   = time.Minute      // how often the book is written anew
	bookPause   = 10 * time.Second // at least, between two
	bookTimeout = 10 * time.Second
)

// bookPurpose is what the snapshot is sealed for.
const bookPurpose = "sos-book"

func (w *Watch) bookPath() string { return filepath.Join(w.cfg.Dir, "sos.book") }

// openBook reads the book from the database or, if that is away, from the snapshot.
func (w *Watch) openBook(ctx context.Context) {
	if err := w.Relearn(ctx); err == nil {
		return
	}
	kept, err := ReadBook(w.cfg.Dir, w.cfg.Sealer)
	if err != nil {
		w.log.Error("who to tell of an emergency is not known until the database is back", "error", err)
		return
	}
	w.take(kept)
}

// ReadBook reads the snapshot of a data folder. Without one it is fs.ErrNotExist.
func ReadBook(dir string, sealer Sealer) (*schema.SOSBook, error) {
	sealed, err := os.ReadFile(filepath.Join(dir, "sos.book"))
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Unseal(sealed, bookPurpose)
	if err != nil {
		return nil, err
	}
	kept := new(schema.SOSBook)
	return kept, json.Unmarshal(plain, kept)
}

// HasBook reports whether there is a snapshot in a data folder.
func HasBook(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "sos.book"))
	return !errors.Is(err, fs.ErrNotExist)
}

func (w *Watch) take(b *schema.SOSBook) {
	if w.cfg.Known != nil {
		w.cfg.Known(b)
	}
	w.book.Store(newBook(b))
	poke(w.tell)
}

// Relearn reads the book from the database now, and keeps a snapshot of it.
func (w *Watch) Relearn(ctx context.Context) error {
	w.rereading.Lock()
	defer w.rereading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, bookTimeout)
	defer cancel()
	b, err := (schema.SOSBooks{DB: w.cfg.DB}).Take(ctx, w.now())
	if err != nil {
		return err
	}
	w.take(&b)
	plain, err := json.Marshal(&b)
	if err == nil {
		err = replaceFile(w.bookPath(), w.cfg.Sealer.Seal(plain, bookPurpose))
	}
	if err != nil {
		w.log.Error("the snapshot for emergencies cannot be written", "error", err)
	}
	return nil
}

// learn keeps the book up to date.
func (w *Watch) learn(ctx context.Context) {
	for {
		fired, stop := w.clock.NewTimer(bookPause)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
		fired, stop = w.clock.NewTimer(bookEvery - bookPause)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		case <-w.reread:
			stop()
		}
		if err := w.Relearn(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("the book of emergencies cannot be read anew", "error", err)
		}
	}
}

// Ready says what ops should see to before an emergency; nil: nothing.
func (w *Watch) Ready(context.Context) error {
	now := w.now()
	if slices.ContainsFunc(w.book.Load().Rota, func(s fleet.SOSStep) bool { return s.OnCall(now) }) {
		return nil
	}
	return &fleet.Error{Code: fleet.CodeUnavailable, Message: "nobody is on call for an SOS: fill the rota at /api/sos/rota"}
}
