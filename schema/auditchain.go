package schema

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// sealAtOnce is how many entries a seal covers at most.
const sealAtOnce = 1000

// sealers is the advisory lock of whoever seals.
const sealers = 0x61756469 // "audi"

// auditKept is for how long an entry of the log is kept once it is sealed: as
// long as the evidence that it may be about.
const auditKept = 7 * 365 * 24 * time.Hour

// digest hashes fields so that none can run into the next.
type digest struct{ hash.Hash }

func newDigest(of string) digest {
	d := digest{sha256.New()}
	d.text(of)
	return d
}

func (d digest) number(n int64) { d.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) } //nolint:gosec // its bits

func (d digest) bytes(b []byte) {
	d.number(int64(len(b)))
	d.Write(b)
}

func (d digest) text(s string) { d.bytes([]byte(s)) }

// hashOfEntry is over all that an entry says, as it reads from the database.
func hashOfEntry(e *fleet.AuditEntry) []byte {
	d := newDigest("armora audit entry 1")
	d.bytes(e.ID[:])
	d.text(e.Actor)
	d.bytes(e.ActorUser[:])
	d.text(e.Action)
	about := e.About()
	d.number(int64(len(about)))
	for _, id := range about {
		d.bytes(id[:])
	}
	d.text(e.Object)
	d.bytes(e.Detail)
	d.number(e.At.UnixMicro())
	d.text(e.RequestID)
	return d.Sum(nil)
}

func hashOfSeal(s *fleet.AuditSeal) []byte {
	d := newDigest("armora audit seal 1")
	d.number(s.Seq)
	d.bytes(s.Previous)
	d.bytes(s.Hashes)
	d.number(s.Sealed.UnixMicro())
	return d.Sum(nil)
}

const sealColumns = `seq, entries::text[], hashes, previous, hash, sealed, retired`

func scanSeal(row pgx.CollectableRow) (s fleet.AuditSeal, err error) {
	var entries []string
	var retired *time.Time
	if err := row.Scan(&s.Seq, &entries, &s.Hashes, &s.Previous, &s.Hash, &s.Sealed, &retired); err != nil {
		return s, err
	}
	s.Sealed, s.Retired = s.Sealed.UTC(), orZero(retired)
	for _, text := range entries {
		id, err := fleet.ParseID[fleet.AuditEntry](text)
		if err != nil {
			return s, err
		}
		s.Entries = append(s.Entries, id)
	}
	return s, nil
}

// Seal chains what is in the tail. What transactions add meanwhile is left for
// the next time. Hubs that seal at once wait for each other.
func (t Audit) Seal(ctx context.Context, now time.Time) error {
	for {
		count := 0
		err := t.DB.transact(ctx, "audit seal", func(tx pgx.Tx) (err error) {
			count, err = sealSome(ctx, tx, now.UTC().Truncate(time.Microsecond))
			return err
		})
		if err != nil || count < sealAtOnce {
			return err
		}
	}
}

func sealSome(ctx context.Context, tx pgx.Tx, now time.Time) (int, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, sealers); err != nil {
		return 0, err
	}
	// The lock comes first: what is read from here on, the last sealer has written.
	rows, err := tx.Query(ctx, `SELECT `+auditColumns+`
		FROM audit_tail l JOIN audit_entries e ON e.id = l.entry ORDER BY e.id LIMIT $1`, sealAtOnce)
	if err != nil {
		return 0, err
	}
	entries, err := pgx.CollectRows(rows, scanAudit)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	last, err := lastSeal(ctx, tx)
	if err != nil {
		return 0, err
	}
	s := fleet.AuditSeal{Seq: last.Seq + 1, Previous: last.Hash, Sealed: now}
	for i := range entries {
		s.Entries = append(s.Entries, entries[i].ID)
		s.Hashes = append(s.Hashes, hashOfEntry(&entries[i])...)
	}
	s.Hash = hashOfSeal(&s)
	ids := idStrings(s.Entries)
	_, err = tx.Exec(ctx, `
		INSERT INTO audit_seals (seq, entries, hashes, previous, hash, sealed) VALUES ($1, $2::uuid[], $3, $4, $5, $6)`,
		s.Seq, ids, s.Hashes, s.Previous, s.Hash, s.Sealed)
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM audit_tail WHERE entry = ANY($1::uuid[])`, ids)
	}
	return len(entries), err
}

// lastSeal returns the head of the chain; before the first seal, one with seq 0.
func lastSeal(ctx context.Context, tx pgx.Tx) (fleet.AuditSeal, error) {
	rows, err := tx.Query(ctx, `SELECT `+sealColumns+` FROM audit_seals ORDER BY seq DESC LIMIT 1`)
	if err != nil {
		return fleet.AuditSeal{}, err
	}
	last, err := pgx.CollectExactlyOneRow(rows, scanSeal)
	if errors.Is(err, pgx.ErrNoRows) {
		return fleet.AuditSeal{Hash: []byte{}}, nil
	}
	return last, err
}

// retire deletes the entries of the seals that are old enough. The seals stay,
// and with them the chain.
func (t Audit) retire(ctx context.Context, now time.Time) error {
	return pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('armora.audit', 'retire', true)`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			WITH old AS (
				UPDATE audit_seals SET retired = $1 WHERE retired IS NULL AND sealed <= $2 RETURNING entries)
			DELETE FROM audit_entries WHERE id IN (SELECT unnest(entries) FROM old)`, now, now.Add(-auditKept))
		return err
	})
}

// AuditReport is what a check of the whole log has found.
type AuditReport struct {
	Seals, Entries, Retired, Tail int
	Head                          fleet.AuditSeal // seq 0: nothing is sealed
	Break                         string          // the first place where the log is not what was written; "" if there is none
}

// AuditAnchor is a seal as somebody noted it outside of the database. It finds a
// chain that was made anew from some point on, or cut off.
type AuditAnchor struct {
	Seq  int64
	Hash []byte
}

// Verify checks every seal and every entry, as they are at one moment.
func (t Audit) Verify(ctx context.Context, anchors ...AuditAnchor) (r AuditReport, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, t.DB.pool, options, func(tx pgx.Tx) error {
		v := verifier{ctx: ctx, tx: tx, report: &r}
		return v.run(anchors)
	})
	return r, translate("audit log", err)
}

// verifier walks the chain. A method that finds a break reports it in report,
// and the walk ends there.
type verifier struct {
	ctx    context.Context
	tx     pgx.Tx
	report *AuditReport
}

func (v *verifier) broken(format string, args ...any) { v.report.Break = fmt.Sprintf(format, args...) }

func (v *verifier) run(anchors []AuditAnchor) error {
	v.report.Head.Hash = []byte{}
	for v.report.Break == "" {
		rows, err := v.tx.Query(v.ctx, `SELECT `+sealColumns+` FROM audit_seals WHERE seq > $1 ORDER BY seq LIMIT 1`, v.report.Head.Seq)
		if err != nil {
			return err
		}
		seal, err := pgx.CollectExactlyOneRow(rows, scanSeal)
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err == nil {
			err = v.seal(&seal, anchors)
		}
		if err != nil {
			return err
		}
	}
	for _, a := range anchors {
		if v.report.Break == "" && a.Seq > v.report.Head.Seq {
			v.broken("seal %d is missing: the chain was noted with it, and now ends at seal %d", a.Seq, v.report.Head.Seq)
		}
	}
	if v.report.Break != "" {
		return nil
	}
	return v.unsealed()
}

func (v *verifier) seal(s *fleet.AuditSeal, anchors []AuditAnchor) error {
	head := &v.report.Head
	switch {
	case s.Seq != head.Seq+1:
		v.broken("seal %d is missing", head.Seq+1)
	case !bytes.Equal(s.Previous, head.Hash):
		v.broken("seal %d does not follow seal %d: one of them was put in the other's place or made anew", s.Seq, head.Seq)
	case !bytes.Equal(s.Hash, hashOfSeal(s)), len(s.Hashes) != len(s.Entries)*sha256.Size:
		v.broken("seal %d was changed", s.Seq)
	case !s.Retired.IsZero() && s.Retired.Before(s.Sealed.Add(auditKept)):
		v.broken("the entries of seal %d were deleted before their time", s.Seq)
	}
	for _, a := range anchors {
		if v.report.Break == "" && a.Seq == s.Seq && !bytes.Equal(a.Hash, s.Hash) {
			v.broken("seal %d is not the one that was noted: the chain was made anew", s.Seq)
		}
	}
	if v.report.Break != "" {
		return nil
	}
	*head = *s
	v.report.Seals++
	if !s.Retired.IsZero() {
		v.report.Retired += len(s.Entries)
		return nil
	}
	return v.entries(s)
}

func (v *verifier) entries(s *fleet.AuditSeal) error {
	rows, err := v.tx.Query(v.ctx, `SELECT `+auditColumns+` FROM audit_entries e WHERE e.id = ANY($1::uuid[])`, idStrings(s.Entries))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, scanAudit)
	if err != nil {
		return err
	}
	byID := make(map[fleet.AuditID]*fleet.AuditEntry, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	for i, id := range s.Entries {
		entry, ok := byID[id]
		if !ok {
			v.broken("entry %s of seal %d is missing", id, s.Seq)
			return nil
		}
		if !bytes.Equal(hashOfEntry(entry), s.Hashes[i*sha256.Size:(i+1)*sha256.Size]) {
			v.broken("entry %s of seal %d was changed, or is not in its place", id, s.Seq)
			return nil
		}
		v.report.Entries++
	}
	return nil
}

// unsealed looks at what no seal covers: all of it must be in the tail, and all
// of the tail must be there.
func (v *verifier) unsealed() error {
	var added, missing fleet.AuditID
	err := v.tx.QueryRow(v.ctx, `
		SELECT (SELECT count(*) FROM audit_tail),
		       (SELECT e.id FROM audit_entries e
		        LEFT JOIN audit_tail l ON l.entry = e.id
		        LEFT JOIN (SELECT unnest(entries) AS id FROM audit_seals WHERE retired IS NULL) s ON s.id = e.id
		        WHERE l.entry IS NULL AND s.id IS NULL ORDER BY e.id LIMIT 1),
		       (SELECT l.entry FROM audit_tail l
		        LEFT JOIN audit_entries e ON e.id = l.entry WHERE e.id IS NULL ORDER BY l.entry LIMIT 1)`).
		Scan(&v.report.Tail, &added, &missing)
	switch {
	case err != nil:
		return err
	case !added.IsZero():
		v.broken("entry %s was put in, or taken out of the tail: no seal covers it", added)
	case !missing.IsZero():
		v.broken("entry %s of the tail is missing", missing)
	}
	return nil
}
