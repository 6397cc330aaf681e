package schema

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// IdempotentRequests are requests that are carried out once, however often they
// are sent.
type IdempotentRequests struct{ DB *DB }

// Claim is the right to carry a request out, until its lease is over.
type Claim = fleet.ID[IdempotentRequests]

// Claimed is what is known of a request that somebody wants to carry out.
type Claimed struct {
	Mine  bool   // it is the claimant's to carry out
	Other bool   // another request was made under this id
	Reply []byte // sealed: what was answered; nil: it is still under way
}

// Claim claims the request of an id. One whose claimant let the lease run out,
// and so is taken to have died, may be claimed again.
func (t IdempotentRequests) Claim(ctx context.Context, id []byte, claim Claim, request []byte, now, lease time.Time) (c Claimed, err error) {
	tag, err := t.DB.pool.Exec(ctx, `
		INSERT INTO idempotent_requests AS r (id, claim, request, lease, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET claim = excluded.claim, lease = excluded.lease
		WHERE r.reply IS NULL AND r.lease <= $5 AND r.request = excluded.request`, id, claim, request, lease, now)
	if err != nil || tag.RowsAffected() == 1 {
		return Claimed{Mine: true}, translate("request", err)
	}
	var first []byte
	err = t.DB.pool.QueryRow(ctx, `SELECT request, reply FROM idempotent_requests WHERE id = $1`, id).Scan(&first, &c.Reply)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, nil // it failed just now: as good as under way, the next try will claim it
	}
	c.Other = err == nil && !bytes.Equal(first, request)
	return c, translate("request", err)
}

// Finish keeps the reply to a claimed request. If it was claimed by another
// meanwhile that is CodeNotFound.
func (t IdempotentRequests) Finish(ctx context.Context, id []byte, claim Claim, reply []byte) error {
	return t.DB.exec(ctx, "request", `
		UPDATE idempotent_requests SET reply = $3 WHERE id = $1 AND claim = $2 AND reply IS NULL`, id, claim, reply)
}

// Release gives a claimed request up: nothing has come of it, and it may be
// made again.
func (t IdempotentRequests) Release(ctx context.Context, id []byte, claim Claim) error {
	return t.DB.exec(ctx, "request", `
		DELETE FROM idempotent_requests WHERE id = $1 AND claim = $2 AND reply IS NULL`, id, claim)
}

// keepReplies is how long a reply is given again.
const keepReplies = 48 * time.Hour
