package schema

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// PointQuery chooses points of one device.
type PointQuery struct {
	Device   fleet.DeviceID
	From, To fleet.Millis    // fix times, From included and To not; 0: without a limit
	After    *fleet.PointKey // goes on behind this point; its Device is not looked at
	Limit    int             // 0: without a limit
	Verdicts []fleet.Verdict // nil: all
}

// pageRows is how many points are read at a time. No connection is held while
// yield runs, so a slow reader holds up nobody.
const pageRows = 5000

// Range calls yield for each point that q chooses, in order of (fix, lat, lon),
// until yield fails; its error is returned as it is. The points come in pages,
// each from its own snapshot: one that is stored meanwhile may be seen or not.
func (t *Points) Range(ctx context.Context, q PointQuery, yield func(fleet.Point) error) error {
	return t.pages(ctx, q, yield, t.page)
}

// Quarantined is Range over the points in quarantine.
func (t *Points) Quarantined(ctx context.Context, q PointQuery, yield func(fleet.Point) error) error {
	return t.pages(ctx, q, yield, t.quarantinePage)
}

type pageFunc func(ctx context.Context, number int32, q PointQuery, limit int, page []fleet.Point) ([]fleet.Point, error)

func (t *Points) pages(ctx context.Context, q PointQuery, yield func(fleet.Point) error, read pageFunc) error {
	if err := t.learnNumbers(ctx, []fleet.Point{{Device: q.Device}}); err != nil {
		return translate("point", err)
	}
	number := t.number(q.Device)
	if number == 0 {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such device"}
	}
	left := q.Limit
	if left <= 0 {
		left = math.MaxInt
	}
	var page []fleet.Point
	for left > 0 {
		limit := min(left, pageRows)
		var err error
		if page, err = read(ctx, number, q, limit, page[:0]); err != nil {
			return translate("point", err)
		}
		for i := range page {
			page[i].Device = q.Device
			if err := yield(page[i]); err != nil {
				return err
			}
		}
		if len(page) < limit {
			return nil
		}
		left -= limit
		last := page[len(page)-1].Key()
		q.After = &last
	}
	return nil
}

// rowColumns are the packed columns and, where an offset is far, the true times.
const rowColumns = `p.fix, p.lat, p.lon, p.received, p.sent, p.accuracy, p.speed, p.heading, p.altitude, p.battery, p.meta,
	CASE WHEN p.received = -2147483647 OR p.sent = -2147483647 THEN
		(SELECT f.received FROM points_far f WHERE (f.device, f.fix, f.lat, f.lon) = (p.device, p.fix, p.lat, p.lon)) END,
	CASE WHEN p.received = -2147483647 OR p.sent = -2147483647 THEN
		(SELECT f.sent FROM points_far f WHERE (f.device, f.fix, f.lat, f.lon) = (p.device, p.fix, p.lat, p.lon)) END`

// rowScanner reads rowColumns into a point, reusing its memory.
type rowScanner struct {
	row            row
	fix            time.Time
	received, sent *time.Time
}

func (s *rowScanner) targets() []any {
	r := &s.row
	return []any{&s.fix, &r.lat, &r.lon, &r.received, &r.sent, &r.accuracy, &r.speed, &r.heading, &r.altitude,
		&r.battery, &r.meta, &s.received, &s.sent}
}

func (s *rowScanner) point() (p fleet.Point) {
	s.row.fix = s.fix.UnixMilli()
	s.row.unpack(&p)
	if s.row.received == farOffset && s.received != nil {
		p.Received = fleet.MillisOf(*s.received)
	}
	if s.row.sent == farOffset && s.sent != nil {
		p.Sent = fleet.MillisOf(*s.sent)
	}
	return p
}

// choice is the WHERE of a PointQuery; $1 to $8 are its arguments. A range of
// fixes without an end would keep the planner from leaving out partitions.
const choice = `
	p.device = $1 AND p.fix >= $2 AND p.fix < $3 AND ($4::boolean OR (p.fix, p.lat, p.lon) > ($2, $5, $6))
	ORDER BY p.fix, p.lat, p.lon LIMIT $7`

func (q *PointQuery) arguments(number int32, limit int) []any {
	from, to := q.From.Time(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if q.To != 0 {
		to = q.To.Time()
	}
	if q.After == nil || q.After.Fix < q.From {
		return []any{number, from, to, true, int32(0), int32(0), limit}
	}
	return []any{number, q.After.Fix.Time(), to, false, q.After.Lat, q.After.Lon, limit}
}

// verdicts are those asked for, all if none.
func (q *PointQuery) verdicts() []int16 {
	asked := q.Verdicts
	if asked == nil {
		asked = fleet.Verdicts()
	}
	numbers := make([]int16, len(asked))
	for i, v := range asked {
		numbers[i] = int16(v)
	}
	return numbers
}

func (t *Points) page(ctx context.Context, number int32, q PointQuery, limit int, page []fleet.Point) ([]fleet.Point, error) {
	rows, err := t.db.pool.Query(ctx, `SELECT `+rowColumns+` FROM points p WHERE p.meta & 15 = ANY($8::smallint[]) AND`+choice,
		append(q.arguments(number, limit), q.verdicts())...)
	if err != nil {
		return nil, err
	}
	var s rowScanner
	_, err = pgx.ForEachRow(rows, s.targets(), func() error {
		page = append(page, s.point())
		return nil
	})
	return page, err
}

func (t *Points) quarantinePage(ctx context.Context, number int32, q PointQuery, limit int, page []fleet.Point) ([]fleet.Point, error) {
	rows, err := t.db.pool.Query(ctx, `
		SELECT p.fix, p.lat, p.lon, p.received, p.sent, p.accuracy, p.speed, p.heading, p.altitude, p.battery,
		       p.verdict, p.format, p.flags
		FROM points_quarantine p WHERE p.verdict = ANY($8::smallint[]) AND`+choice,
		append(q.arguments(number, limit), q.verdicts())...)
	if err != nil {
		return nil, err
	}
	var fix, received time.Time
	var sent *time.Time
	var lat, lon int32
	var measured [5]*float32
	var verdict, format, flags int16
	targets := []any{&fix, &lat, &lon, &received, &sent, &measured[0], &measured[1], &measured[2], &measured[3], &measured[4],
		&verdict, &format, &flags}
	_, err = pgx.ForEachRow(rows, targets, func() error {
		p := fleet.Point{
			Fix: fleet.MillisOf(fix), Received: fleet.MillisOf(received), Lat: float64(lat) / 1e7, Lon: float64(lon) / 1e7,
			Accuracy: orUnknown(measured[0]), Speed: orUnknown(measured[1]), Heading: orUnknown(measured[2]),
			Altitude: orUnknown(measured[3]), Battery: orUnknown(measured[4]),
			Verdict: fleet.Verdict(verdict), Format: fleet.Format(format), Flags: fleet.Flags(flags),
		}
		if sent != nil {
			p.Sent = fleet.MillisOf(*sent)
		}
		page = append(page, p)
		return nil
	})
	return page, err
}

// newest is the best fix of the device whose number is d.number: the newest ok
// one, and of those with one stamp the last received.
const newest = `
	SELECT ` + rowColumns + ` FROM points p
	WHERE p.device = d.number AND p.fix >= $1 AND p.meta & 15 = 0
	ORDER BY p.fix DESC, p.received DESC LIMIT 1`

// Latest calls yield with the newest ok fix of every device that has one since
// the given time, in no order, until yield fails.
func (t *Points) Latest(ctx context.Context, since fleet.Millis, yield func(fleet.Point) error) error {
	rows, err := t.db.pool.Query(ctx, `
		SELECT d.id, n.* FROM devices d CROSS JOIN LATERAL (`+newest+`) n`, since.Time())
	if err != nil {
		return translate("point", err)
	}
	var s rowScanner
	var id fleet.DeviceID
	var refused error
	_, err = pgx.ForEachRow(rows, append([]any{&id}, s.targets()...), func() error {
		p := s.point()
		p.Device = id
		refused = yield(p)
		return refused
	})
	if refused != nil {
		return refused
	}
	return translate("point", err)
}

// Last returns the newest ok fix of the device; CodeNotFound if there is none.
func (t *Points) Last(ctx context.Context, device fleet.DeviceID) (fleet.Point, error) {
	var s rowScanner
	var id fleet.DeviceID
	err := t.db.pool.QueryRow(ctx, `
		SELECT d.id, n.* FROM devices d CROSS JOIN LATERAL (`+newest+`) n WHERE d.id = $2`, time.Unix(0, 0).UTC(), device).
		Scan(append([]any{&id}, s.targets()...)...)
	if err != nil {
		return fleet.Point{}, translate("position", err)
	}
	p := s.point()
	p.Device = id
	return p, nil
}
