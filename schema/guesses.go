package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Guesses holds back those who guess at passwords and codes. A guess is counted
// before it is checked, so that many at once are no way around it, and is taken
// back when it was right.
type Guesses struct{ DB *DB }

// Guessed is what a guess is made at, or comes from.
type Guessed struct {
	Target []byte        // a keyed hash: whose mailbox it is, or whose address, is nobody's business
	Free   int           // guesses that cost nothing
	Most   time.Duration // the longest wait that the next ones cost: 1, 3, 7 … seconds
}

// guessesKept is after how long the count starts again in which a guess could have
// been made, and none was.
const guessesKept = time.Hour

// Guess counts a guess at each of the targets, if none of them has to wait.
// Otherwise it counts none, and fails with CodeTooMany and the wait.
func (t Guesses) Guess(ctx context.Context, now time.Time, at ...Guessed) error {
	return t.DB.transact(ctx, "guess", func(tx pgx.Tx) error {
		for _, g := range at {
			var until time.Time
			err := tx.QueryRow(ctx, `
				INSERT INTO guesses AS g (target, count, last, until) VALUES ($1, 1, $2, $2)
				ON CONFLICT (target) DO UPDATE SET
					count = CASE WHEN g.until < $3 THEN 1 ELSE g.count + 1 END,
					last = $2::timestamptz,
					until = $2::timestamptz + make_interval(secs => CASE WHEN g.until < $3 THEN 0
						ELSE least($4::float8, power(2, greatest(0, least(g.count + 1 - $5, 20))) - 1) END)
				WHERE g.until <= $2
				RETURNING until`,
				g.Target, now, now.Add(-guessesKept), g.Most.Seconds(), g.Free).Scan(&until)
			if errors.Is(err, pgx.ErrNoRows) {
				return tooManyGuesses(ctx, tx, g.Target, now)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func tooManyGuesses(ctx context.Context, tx pgx.Tx, target []byte, now time.Time) error {
	var until time.Time
	if err := tx.QueryRow(ctx, `SELECT until FROM guesses WHERE target = $1`, target).Scan(&until); err != nil {
		return err
	}
	return &fleet.Error{Code: fleet.CodeTooMany, Message: "too many wrong tries: wait a little", Retry: until.Sub(now)}
}

// Right takes a right guess back, and forgets all that were made at the same
// target; of those from the same peer, which may be made at others, only this.
func (t Guesses) Right(ctx context.Context, at, from Guessed) error {
	return t.DB.transact(ctx, "guess", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM guesses WHERE target = $1`, at.Target); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE guesses SET count = count - 1 WHERE target = $1 AND count > 0`, from.Target)
		return err
	})
}
