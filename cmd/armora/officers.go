package main

import (
	"context"
	"sync"

	"armora/bus"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// openOfficers shows the map what each officer may be offered for, from now on as
// it changes, and ingest when their phones may be followed.
func (h *hub) openOfficers(ctx, background context.Context) error {
	shown := officersShown{
		index: h.index, clock: h.clock, as: make(map[fleet.DriverID]bus.Standing), off: make(map[fleet.DriverID]fleet.Millis),
	}
	leave := []func(){
		h.bus.Standings.Subscribe(shown.show),
		h.bus.Moves.Subscribe(shown.vacate),
		h.bus.Spells.Subscribe(func(s bus.Spells) { h.spells.Set(s.User, s.Spells) }),
	}
	background, stop := context.WithCancel(background)
	var running sync.WaitGroup
	h.onClose("officers", func(context.Context) error {
		stop()
		running.Wait()
		for _, cancel := range leave {
			cancel()
		}
		return nil
	})
	spells, err := h.officers.Spells(ctx)
	if err != nil {
		return err
	}
	for user, of := range spells {
		h.spells.Set(user, of)
	}
	if err := h.officers.TellAll(ctx); err != nil {
		return err
	}
	running.Go(func() { h.officers.Run(background) })
	return nil
}

// officersShown is how officers stand on the map.
type officersShown struct {
	index *live.Index
	clock fleet.Clock
	mu    sync.Mutex
	as    map[fleet.DriverID]bus.Standing
	off   map[fleet.DriverID]fleet.Millis // since when those are off duty who are
}

// show takes a standing over to the map. Who is off duty leaves it, with what was
// measured before and was still under way then; the tracker of a car brings them
// back as the one who drives it.
func (o *officersShown) show(s bus.Standing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.as[s.Driver] = s
	since, wasOff := o.off[s.Driver]
	switch {
	case s.Duty != fleet.OffDuty:
		delete(o.off, s.Driver)
	case !wasOff:
		since = fleet.MillisOf(o.clock.Now())
		o.off[s.Driver] = since
		fallthrough
	default:
		if fix, ok := o.index.Get(fleet.Unit(s.Driver)); ok && fix.At <= since {
			o.index.Remove(fleet.Unit(s.Driver))
		}
	}
	o.describe(s)
}

// vacate takes the unit off the map under which a device was shown, unless
// another device has told its position since.
func (o *officersShown) vacate(m bus.Move) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fix, ok := o.index.Get(m.From); !ok || fix.Source != m.Device {
		return
	}
	o.index.Remove(m.From)
	if s, officer := o.as[fleet.DriverID(m.From)]; officer {
		o.describe(s)
	}
}

func (o *officersShown) describe(s bus.Standing) {
	o.index.Describe(fleet.Unit(s.Driver), live.ClassOf(s.Tiers...), live.StatusOf(s.Duty))
}

// lastSeen reads the last fix of each device, but for the phones of people who
// may not be followed now.
func (h *hub) lastSeen(ctx context.Context, points *schema.Points) (func(context.Context, fleet.Millis, func(fleet.Point) error) error, error) {
	personal, err := (schema.Devices{DB: h.db}).PersonalPhones(ctx)
	if err != nil {
		return nil, err
	}
	now := fleet.MillisOf(h.clock.Now())
	return func(ctx context.Context, since fleet.Millis, yield func(fleet.Point) error) error {
		return points.Latest(ctx, since, func(p fleet.Point) error {
			if user, ok := personal[p.Device]; ok && !h.spells.Keep(user, now) {
				return nil
			}
			return yield(p)
		})
	}, nil
}
