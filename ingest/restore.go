package ingest

import (
	"context"

	"armora/fleet"
)

// Restore takes up where the hub left off: it puts the last good fix of each
// device since then on the live map, and judges what comes
// next against it. latest is schema.Points.Latest; unit tells under which unit
// the map shows a device. It is called before the first Receive, and returns
// the error of latest.
func (p *Pipeline) Restore(ctx context.Context, since fleet.Millis,
	latest func(ctx context.Context, since fleet.Millis, yield func(fleet.Point) error) error,
	unit func(fleet.DeviceID) fleet.Unit) error {
	restored := 0
	err := latest(ctx, since, func(point fleet.Point) error {
		s := p.shard(point.Device)
		s.mu.Lock()
		defer s.mu.Unlock()
		seen := s.device(point.Device).restore(&p.config.Thresholds, &point)
		p.mover.add(Move{unit(point.Device), seen, point})
		if restored++; restored%restoredTogether == 0 {
			p.mover.settle()
		}
		return nil
	})
	p.mover.settle()
	return err
}

// restoredTogether bounds the memory that a restart takes.
const restoredTogether = 1024

// restore takes in a stored fix, and returns the time by which the live map
// orders it. By how much its device's clock was off is not stored; that it was
// sent when it was measured is a good guess.
func (d *device) restore(th *Thresholds, p *fleet.Point) fleet.Millis {
	at := p.Fix
	if p.Flags&fleet.FlagSkewed != 0 {
		at = p.Received
	}
	d.track.anchor = th.motion(p, at)
	d.newest = min(at, p.Received)
	return d.newest
}
