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
	OnDuty    time.Time // since when; zero: they are off duty
	LastWork  time.Time // when their last trip ended; zero: they had none
	// Of the last offers that the officer answered, or let expire: how many there
	// were, and how many were accepted.
	Asked, Accepted int
}

// recentOffers is how many offers say how likely an officer accepts.
const recentOffers = 20

// Candidates returns those of the drivers who exist, in order of id.
func (t Drivers) Candidates(ctx context.Context, ids []fleet.DriverID) ([]Candidate, error) {
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
		err := row.Scan(&id, &c.User, &c.Gender, &c.Languages, &onDuty, &lastWork, &c.Asked, &c.Accepted)
		c.FitnessRecord, c.OnDuty, c.LastWork = byID[id].FitnessRecord, orZero(onDuty), orZero(lastWork)
		return c, err
	}
	return all(ctx, t.DB, "driver", scan, `
		SELECT d.id, d.user_id, d.gender, d.languages,
		       (SELECT s.began FROM duty_spells s WHERE s.driver = d.id AND s.ended IS NULL),
		       (SELECT max(b.ended) FROM booking_seats s JOIN bookings b ON b.id = s.booking_id
		        WHERE s.driver_id = d.id AND s.state = 'released' AND b.status = 'completed'),
		       o.asked, o.accepted
		FROM drivers d, LATERAL (
			SELECT count(*) AS asked, count(*) FILTER (WHERE r.state = 'accepted') AS accepted
			FROM (SELECT state FROM offers WHERE driver_id = d.id AND state IN ('accepted', 'declined', 'expired')
			      ORDER BY id DESC LIMIT $2) r) o
		WHERE d.id = ANY($1::uuid[]) ORDER BY d.id`, idStrings(slices.Collect(maps.Keys(byID))), recentOffers)
}
