package schema

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Candidate is all that is asked of an officer before they are offered a seat,
// but for where they are and when they are taken.
type Candidate struct {
	fleet.FitnessRecord
	User      fleet.UserID
	Gender    fleet.Gender
	Languages []string
	OnDuty    time.Time     // since when; zero: they are off duty
	LastWork  time.Time     // when their last trip ended; zero: they had none
	Worked    time.Duration // on trips that ended since a time
	// Of the last offers that the officer answered, or let expire: how many there
	// were, and how many were accepted.
	Asked, Accepted int
}

// recentOffers is how many offers say how likely an officer accepts.
const recentOffers = 20

// Candidates returns those of the drivers who exist, in order of id, with what they
// have worked since a time.
func (t Drivers) Candidates(ctx context.Context, ids []fleet.DriverID, since time.Time) ([]Candidate, error) {
	records, err := t.fitness(ctx, `d.id = ANY($1::uuid[]) ORDER BY d.id`, idStrings(ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[fleet.DriverID]Candidate, len(records))
	for _, r := range records {
		byID[r.Driver] = Candidate{FitnessRecord: r}
	}
	scan := func(row pgx.CollectableRow) (Candidate, error) {
		var id fleet.DriverID
		var c Candidate
		var onDuty, lastWork *time.Time
		var worked float64
		err := row.Scan(&id, &c.User, &c.Gender, &c.Languages, &onDuty, &lastWork, &worked, &c.Asked, &c.Accepted)
		c.Worked = time.Duration(worked * float64(time.Second))
		c.FitnessRecord, c.OnDuty, c.LastWork = byID[id].FitnessRecord, orZero(onDuty), orZero(lastWork)
		return c, err
	}
	return all(ctx, t.DB, "driver", scan, `
		SELECT d.id, d.user_id, d.gender, d.languages,
		       (SELECT s.began FROM duty_spells s WHERE s.driver = d.id AND s.ended IS NULL),
		       w.last, w.seconds, o.asked, o.accepted
		FROM drivers d, LATERAL (
			SELECT max(b.ended) AS last,
			       coalesce(sum(extract(epoch FROM b.ended - b.started)) FILTER (WHERE b.ended > $3), 0)::float8 AS seconds
			FROM booking_seats s JOIN bookings b ON b.id = s.booking_id
			WHERE s.driver_id = d.id AND s.state = 'released' AND b.status = 'completed') w, LATERAL (
			SELECT count(*) AS asked, count(*) FILTER (WHERE r.state = 'accepted') AS accepted
			FROM (SELECT state FROM offers WHERE driver_id = d.id AND state IN ('accepted', 'declined', 'expired')
			      ORDER BY id DESC LIMIT $2) r) o
		WHERE d.id = ANY($1::uuid[]) ORDER BY d.id`, idStrings(slices.Collect(maps.Keys(byID))), recentOffers, since)
}
