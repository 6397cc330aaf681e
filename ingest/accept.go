package ingest

import (
	"sync"

	"armora/fleet"
)

// shard holds what is remembered of some of the devices. What it knows grows
// with the fleet, by half a kilobyte a device.
type shard struct {
	mu      sync.Mutex
	devices map[fleet.DeviceID]*device
	window  window
}

func (s *shard) open() {
	s.devices = make(map[fleet.DeviceID]*device)
	s.window = newWindow(windowKeys)
}

// device returns what is known of a device. The shard is locked.
func (s *shard) device(id fleet.DeviceID) *device {
	d := s.devices[id]
	if d == nil {
		d = &device{number: uint64(len(s.devices)) + 1}
		s.devices[id] = d
	}
	return d
}

// shard returns the shard of a device: the last byte of its id is random.
func (p *Pipeline) shard(id fleet.DeviceID) *shard { return &p.shards[id[len(id)-1]%shards] }

// accept judges the points that one message bears of one device, moves the live
// map, and puts what is new into the open batch. The receipt waits for that
// batch, and for those that hold the first copies of the repeats among them.
// points is used as scratch space; nothing of it is kept.
func (p *Pipeline) accept(r *receipt, format fleet.Format, from fleet.Child, received fleet.Millis, points []fleet.Point) {
	s := p.shard(from.Device)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.device(from.Device)
	d.listen(points, received)
	p.count.points[format].Add(uint64(len(points)))
	points = p.followed(from.User, d, points)
	horizon := p.queue.horizon.Load()
	mark, fresh := s.window.tail, points[:0]
	for i := range points {
		point := &points[i]
		point.Device, point.Received = from.Device, received
		k := d.key(point)
		if batch, seen := s.window.find(k); seen {
			if batch != unassigned {
				p.queue.join(batch, r)
			}
			continue
		}
		s.window.add(k, received, horizon)
		at := d.judge(&p.config.Thresholds, point)
		if point.Verdict == fleet.OK {
			p.mover.add(Move{from.Unit, at, *point})
		}
		fresh = append(fresh, *point)
	}
	p.count.repeats.Add(uint64(len(points) - len(fresh)))
	if len(fresh) == 0 {
		return
	}
	batch, ok := p.queue.add(fresh, nil, r)
	if !ok {
		r.dropped.Store(true) // closed for good: what the window says no longer matters
		return
	}
	s.window.assign(mark, batch)
	p.count.judged(fresh)
}

// followed returns, in place, the points of times at which the person whose
// phone the device is may be followed. A device without such a person is.
func (p *Pipeline) followed(user fleet.UserID, d *device, points []fleet.Point) []fleet.Point {
	if user.IsZero() {
		return points
	}
	var off fleet.Millis // by which the phone's clock is
	if d.skew != nil {
		off = d.skew.applied
	}
	kept := points[:0]
	for i := range points {
		if p.config.Keep(user, points[i].Fix+off) {
			kept = append(kept, points[i])
		}
	}
	p.count.unfollowed.Add(uint64(len(points) - len(kept)))
	return kept
}

// key returns the point's key. The point is d's.
func (d *device) key(p *fleet.Point) key {
	k := p.Key()
	return key{device: d.number, fix: k.Fix, lat: k.Lat, lon: k.Lon}
}

// listen lets the device's clock be estimated from the newest sent time of a
// message.
func (d *device) listen(points []fleet.Point, received fleet.Millis) {
	var sent fleet.Millis
	for i := range points {
		sent = max(sent, points[i].Sent)
	}
	if sent == 0 {
		return
	}
	if d.skew == nil {
		d.skew = new(skew)
	}
	d.skew.observe(sent, received)
}

// forget takes the points of a batch out of the window: they were not stored,
// and when they come again they are new.
func (p *Pipeline) forget(points []fleet.Point, batch uint64) {
	for i := range points {
		s := p.shard(points[i].Device)
		s.mu.Lock()
		s.window.remove(s.device(points[i].Device).key(&points[i]), batch)
		s.mu.Unlock()
	}
}

// judged counts what came of new points.
func (c *counters) judged(points []fleet.Point) {
	var late, skewed, apart uint64
	var by [verdicts]uint64
	for i := range points {
		flags := points[i].Flags
		by[points[i].Verdict]++
		late += uint64(flags & fleet.FlagLate / fleet.FlagLate)
		skewed += uint64(flags & fleet.FlagSkewed / fleet.FlagSkewed)
		apart += uint64(flags & fleet.FlagQuarantine / fleet.FlagQuarantine)
	}
	for verdict, n := range by {
		if n > 0 {
			c.verdicts[verdict].Add(n)
		}
	}
	c.late.Add(late)
	c.skewed.Add(skewed)
	c.apart.Add(apart)
}
