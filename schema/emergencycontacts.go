package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// EmergencyContacts are those who are told when something happens to a user. Who
// they are is sealed.
type EmergencyContacts struct{ DB *DB }

// SealedContact is a contact as it is stored.
type SealedContact struct {
	ID       fleet.ContactID
	User     fleet.UserID
	Sealed   []byte
	State    fleet.ContactState
	Answered time.Time
	Created  time.Time
}

// Invitation asks a contact whether they want to be one.
type Invitation struct {
	Token   []byte // a keyed hash
	Address []byte // likewise, of where it goes
	Expires time.Time
	Notice  fleet.Notice
}

// InvitationLimits are how often people may be asked.
type InvitationLimits struct {
	ByUser    int       // since UserSince
	ToAddress int       // since AddressSince, whoever asks
	UserSince time.Time // before now
	ToSince   time.Time
}

const contactColumns = `id, user_id, sealed, state, answered, created`

func scanContact(row pgx.CollectableRow) (c SealedContact, err error) {
	var answered *time.Time
	err = row.Scan(&c.ID, &c.User, &c.Sealed, &c.State, &answered, &c.Created)
	c.Answered, c.Created = orZero(answered), c.Created.UTC()
	return c, err
}

// List returns a user's contacts, the oldest first.
func (t EmergencyContacts) List(ctx context.Context, user fleet.UserID) ([]SealedContact, error) {
	return all(ctx, t.DB, "contact", scanContact,
		`SELECT `+contactColumns+` FROM contacts WHERE user_id = $1 ORDER BY created, id`, user)
}

// Get returns a contact of the user's.
func (t EmergencyContacts) Get(ctx context.Context, user fleet.UserID, id fleet.ContactID) (SealedContact, error) {
	return one(ctx, t.DB, "contact", scanContact,
		`SELECT `+contactColumns+` FROM contacts WHERE user_id = $1 AND id = $2`, user, id)
}

// Add adds a contact and invites them, unless the user has as many as limit.
func (t EmergencyContacts) Add(ctx context.Context, c SealedContact, limit int, inv Invitation, limits InvitationLimits) error {
	return t.DB.addOwned(ctx, "contact", c.User, `SELECT count(*) FROM contacts WHERE user_id = $1`, limit, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO contacts (id, user_id, sealed, state, created, changed) VALUES ($1, $2, $3, 'invited', $4, $4)`,
			c.ID, c.User, c.Sealed, c.Created)
		if err != nil {
			return err
		}
		return t.invite(ctx, tx, c.User, c.ID, inv, limits)
	})
}

// Change saves a contact of the user's anew. One with another address is another
// person: they are invited, and their answer is waited for. A nil invitation is
// for one whose address has stayed.
func (t EmergencyContacts) Change(ctx context.Context, c SealedContact, now time.Time, inv *Invitation, limits InvitationLimits) error {
	return t.DB.transact(ctx, "contact", func(tx pgx.Tx) error {
		// The user's row is locked, so that invitations count each other.
		var id fleet.UserID
		if err := tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 FOR UPDATE`, c.User).Scan(&id); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE contacts SET sealed = $3, changed = $4, state = CASE WHEN $5 THEN 'invited' ELSE state END,
			       answered = CASE WHEN $5 THEN NULL ELSE answered END
			WHERE user_id = $1 AND id = $2`, c.User, c.ID, c.Sealed, now, inv != nil)
		if err == nil && tag.RowsAffected() == 0 {
			err = pgx.ErrNoRows
		}
		if err != nil || inv == nil {
			return err
		}
		return t.invite(ctx, tx, c.User, c.ID, *inv, limits)
	})
}

// Reinvite asks a contact once more who has not answered, as which the caller has
// read them: one that has changed since is CodeVersionMismatch.
func (t EmergencyContacts) Reinvite(ctx context.Context, c SealedContact, inv Invitation, limits InvitationLimits) error {
	return t.DB.transact(ctx, "contact", func(tx pgx.Tx) error {
		// The user's row first, as ever.
		var id fleet.UserID
		if err := tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 AND erased IS NULL FOR UPDATE`, c.User).Scan(&id); err != nil {
			return err
		}
		var state fleet.ContactState
		var same bool
		err := tx.QueryRow(ctx, `SELECT state, sealed = $3 FROM contacts WHERE user_id = $1 AND id = $2 FOR UPDATE`,
			c.User, c.ID, c.Sealed).Scan(&state, &same)
		switch {
		case err != nil:
			return err
		case !same:
			return &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the contact has changed since it was read: read it again"}
		case state != fleet.ContactInvited:
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this person has answered"}
		}
		return t.invite(ctx, tx, c.User, c.ID, inv, limits)
	})
}

// invite tells somebody that they are asked. Links that went to another address
// answer for nobody any more.
func (t EmergencyContacts) invite(ctx context.Context, tx pgx.Tx, user fleet.UserID, contact fleet.ContactID, inv Invitation, limits InvitationLimits) error {
	var declined bool
	var byUser, toAddress int
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM contact_invitations WHERE user_id = $1 AND address = $2 AND declined IS NOT NULL),
		       (SELECT count(*) FROM contact_invitations WHERE user_id = $1 AND sent > $3),
		       (SELECT count(*) FROM contact_invitations WHERE address = $2 AND sent > $4)`,
		user, inv.Address, limits.UserSince, limits.ToSince).Scan(&declined, &byUser, &toAddress)
	switch {
	case err != nil:
		return err
	case declined:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this person has declined, and is not asked again"}
	case byUser >= limits.ByUser:
		return &fleet.Error{Code: fleet.CodeTooMany, Message: "too many people were invited lately: try again tomorrow"}
	case toAddress >= limits.ToAddress:
		return &fleet.Error{Code: fleet.CodeTooMany, Message: "this person was invited too often lately"}
	}
	if _, err := tx.Exec(ctx, `
		UPDATE contact_invitations SET contact = NULL WHERE contact = $1 AND address <> $2`, contact, inv.Address); err != nil {
		return err
	}
	if err := t.DB.notify(ctx, tx, inv.Notice); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO contact_invitations (token, contact, user_id, address, sent, expires, notice) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		inv.Token, contact, user, inv.Address, inv.Notice.Created, inv.Expires, inv.Notice.ID)
	return err
}

// Delete deletes a contact of the user's. What they have answered is remembered.
func (t EmergencyContacts) Delete(ctx context.Context, user fleet.UserID, id fleet.ContactID) error {
	return t.DB.exec(ctx, "contact", `DELETE FROM contacts WHERE user_id = $1 AND id = $2`, user, id)
}

// OptIn is the "yes" to an invitation that has not expired. It takes back what they
// have said to this user by any other link.
func (t EmergencyContacts) OptIn(ctx context.Context, token []byte, now time.Time) error {
	return t.DB.exec(ctx, "invitation", `
		WITH asked AS (
			SELECT user_id, address, contact FROM contact_invitations
			WHERE token = $1 AND expires > $2 AND contact IS NOT NULL
		), taken AS (
			UPDATE contact_invitations i SET declined = NULL FROM asked
			WHERE i.user_id = asked.user_id AND i.address = asked.address AND i.declined IS NOT NULL
		)
		UPDATE contacts SET state = 'opted_in', answered = $2 FROM asked WHERE id = asked.contact`, token, now)
}

// OptOut is the "no", which may come at any time, also after a "yes", and also
// when the user has deleted the contact. It is said to the user, by whichever link
// they were sent: who was added anew meanwhile has declined as well.
func (t EmergencyContacts) OptOut(ctx context.Context, token []byte, now time.Time) error {
	return t.DB.exec(ctx, "invitation", `
		WITH asked AS (
			UPDATE contact_invitations SET declined = coalesce(declined, $2::timestamptz) WHERE token = $1 RETURNING user_id, address
		), told AS (
			UPDATE contacts c SET state = 'declined', answered = $2 FROM asked, contact_invitations i
			WHERE i.user_id = asked.user_id AND i.address = asked.address AND c.id = i.contact
		)
		SELECT FROM asked`, token, now)
}
