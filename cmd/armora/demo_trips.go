package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"armora/account"
	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/sim"
)

// employee is an officer of the demo and as whom they sign in.
type employee struct {
	Driver fleet.DriverID `json:"driver"`
	User   fleet.UserID   `json:"user"`
}

// openTrade gives the officers and the principals of the demo what they need to
// find each other, and has the officers begin work. It adds them to the roster.
func (h *hub) openTrade(ctx context.Context, r *roster, officers, riders int) (*sim.Trips, error) {
	drivers, err := h.demoDrivers(ctx, r, officers)
	if err != nil {
		return nil, err
	}
	known := len(r.Crew) + len(r.Riders)
	for i := len(r.Crew); i < officers; i++ {
		e := employee{Driver: drivers[i].ID, User: drivers[i].User}
		if e.User.IsZero() {
			if e.User, err = h.enrol(ctx, fmt.Sprintf("crew%03d", i+1), drivers[i].Name, fleet.RoleDriver); err != nil {
				return nil, err
			}
			if err := (schema.Drivers{DB: h.db}).Link(ctx, e.Driver, e.User); err != nil {
				return nil, err
			}
		}
		r.Crew = append(r.Crew, e)
	}
	for i := len(r.Riders); i < riders; i++ {
		user, err := h.enrol(ctx, fmt.Sprintf("principal%03d", i+1), fmt.Sprintf("Principal %03d", i+1), fleet.RoleRider)
		if err != nil {
			return nil, err
		}
		r.Riders = append(r.Riders, user)
	}
	if len(r.Crew)+len(r.Riders) > known {
		if err := r.write(filepath.Join(h.settings.dataDir(), rosterFile)); err != nil {
			return nil, err
		}
	}
	trips := &sim.Trips{API: "http://" + h.api.Addr().String(), Officers: make(map[int]sim.Employee)}
	for i, e := range r.Crew[:officers] {
		trips.Officers[i] = sim.Employee{Driver: e.Driver.String(), SignIn: h.demoSignIn(e.User, true)}
		if err := h.officers.SetDuty(ctx, e.Driver, fleet.OnDuty); err != nil {
			return nil, err
		}
	}
	for _, user := range r.Riders[:riders] {
		if err := h.agree(ctx, user); err != nil {
			return nil, err
		}
		trips.Riders = append(trips.Riders, h.demoSignIn(user, false))
	}
	return trips, nil
}

// demoDrivers returns the officers of the roster's phones, in their order.
func (h *hub) demoDrivers(ctx context.Context, r *roster, officers int) ([]fleet.Driver, error) {
	drivers := make([]fleet.Driver, officers)
	for i := range drivers {
		phone, err := fleet.ParseID[fleet.Device](r.Devices[2*i].ID)
		if err != nil {
			return nil, err
		}
		d, err := (schema.Devices{DB: h.db}).Get(ctx, phone)
		if err != nil {
			return nil, err
		}
		if drivers[i], err = (schema.Drivers{DB: h.db}).Get(ctx, d.Driver); err != nil {
			return nil, err
		}
	}
	return drivers, nil
}

// enrol makes an account that signs in by the demo alone: it has no password.
func (h *hub) enrol(ctx context.Context, mailbox, name string, role fleet.Role) (fleet.UserID, error) {
	now := h.clock.Now()
	user := fleet.User{
		ID: fleet.NewID[fleet.User](), Email: mailbox + "@demo.armora.example", EmailVerified: now, Name: name,
		Roles: []fleet.Role{role}, Created: now,
	}
	_, err := (schema.Users{DB: h.db}).Enlist(ctx, schema.Enlisted{User: user}, now)
	return user.ID, err
}

// agree has somebody of the demo agree to what is required of them.
func (h *hub) agree(ctx context.Context, user fleet.UserID) error {
	return h.consents.GiveRequired(ctx, account.Signatory{User: user, Where: account.Where{Agent: "simulated app", Address: "127.0.0.1"}})
}

// demoSignIn is how somebody of the demo signs in.
func (h *hub) demoSignIn(user fleet.UserID, secondFactor bool) sim.SignIn {
	return func(ctx context.Context) (string, error) {
		tokens, err := h.sessions.Begin(ctx, account.SignIn{
			User: user, Method: "demo", SecondFactor: secondFactor, Where: account.Where{Agent: "simulated app", Address: "127.0.0.1"},
		})
		return tokens.Access, err
	}
}

// closeTrade has the officers go home who are not in the middle of an assignment:
// hours in which nothing ran are not worked.
func (h *hub) closeTrade(ctx context.Context, trips *sim.Trips) error {
	for _, e := range trips.Officers {
		driver, err := fleet.ParseID[fleet.Driver](e.Driver)
		if err != nil {
			return err
		}
		if err := h.officers.SetDuty(ctx, driver, fleet.OffDuty); err != nil && fleet.CodeOf(err) != fleet.CodeConflict {
			return fmt.Errorf("send the demo's officers home: %w", err)
		}
	}
	return nil
}

// board counts the bookings that are under way, for the status line.
type board struct {
	leave func()
	mu    sync.Mutex
	in    map[fleet.BookingID]fleet.BookingStatus
}

func newBoard(ctx context.Context, h *hub) (*board, error) {
	b := &board{in: make(map[fleet.BookingID]fleet.BookingStatus)}
	b.mu.Lock() // what changes meanwhile waits, and so comes after what is read
	defer b.mu.Unlock()
	b.leave = h.bus.Bookings.Subscribe(b.note)
	open, err := (schema.Bookings{DB: h.db}).Open(ctx, h.clock.Now().AddDate(1, 0, 0), fleet.BookingStatuses()...)
	for _, booking := range open {
		b.in[booking.ID] = booking.Status
	}
	return b, err
}

func (b *board) note(c bus.BookingChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.Status.Ended() {
		delete(b.in, c.ID)
	} else {
		b.in[c.ID] = c.Status
	}
}

func (b *board) close() { b.leave() }

// line is the status line's part about bookings.
func (b *board) line(s sim.TripStats) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var searching, assigned, underWay int
	for _, status := range b.in {
		switch {
		case status == fleet.Searching || status == fleet.Offered:
			searching++
		case status == fleet.Assigned:
			assigned++
		case status.Active():
			underWay++
		}
	}
	wait := "–" // nobody has arrived yet
	if s.MeanWait > 0 {
		wait = fmt.Sprintf("%.0f s", s.MeanWait.Seconds())
	}
	return fmt.Sprintf(" · searching %d · assigned %d · under way %d · mean wait %s", searching, assigned, underWay, wait)
}
