package account

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"armora/fleet"
	"armora/schema"
)

const (
	// MaxContacts is how many emergency contacts a person may have.
	MaxContacts = 10
	// InvitationLife is for how long an invitation may be accepted. Declining
	// it is always possible.
	InvitationLife = 30 * 24 * time.Hour
	// invitationKind names the template of the notice. It is filled with "to",
	// the contact's name, "from", the user's, "link", and perhaps "phone", the end of
	// the number that is written to as well.
	invitationKind = "contact_invitation"
)

// How often somebody may be invited: it is mail to people who have not asked.
const (
	invitesADay     = 5 // by one user
	invitesAMonthTo = 3 // to one address, whoever invites
)

// EmergencyContacts are those whom people want to be told when something happens
// to them. Each is asked first, by an invitation, and is sent nothing else until
// they have agreed. It is safe for concurrent use.
type EmergencyContacts struct {
	store   schema.EmergencyContacts
	users   schema.Users
	keyring *Keyring
	clock   fleet.Clock
	page    string // where an invitation is answered
}

// NewEmergencyContacts returns the contacts of a hub whose address, as others
// know it, is publicURL.
func NewEmergencyContacts(db *schema.DB, keyring *Keyring, clock fleet.Clock, publicURL string) *EmergencyContacts {
	return &EmergencyContacts{
		store: schema.EmergencyContacts{DB: db}, users: schema.Users{DB: db}, keyring: keyring, clock: clock,
		page: strings.TrimSuffix(publicURL, "/") + "/contact",
	}
}

// contactText is what is sealed of a contact.
type contactText struct {
	Name     string `json:"name"`
	Relation string `json:"relation"`
	Email    string `json:"email"`
	Phone    string `json:"phone"`
}

// List returns a user's contacts, the oldest first.
func (e *EmergencyContacts) List(ctx context.Context, user fleet.UserID) ([]fleet.Contact, error) {
	rows, err := e.store.List(ctx, user)
	if err != nil {
		return nil, err
	}
	list := make([]fleet.Contact, len(rows))
	for i, row := range rows {
		if list[i], err = e.open(row); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Add adds a contact and invites them.
func (e *EmergencyContacts) Add(ctx context.Context, user fleet.UserID, c fleet.Contact) (fleet.Contact, error) {
	c.ID, c.Created, c.State = fleet.NewID[fleet.Contact](), e.clock.Now(), fleet.ContactInvited
	row, err := e.seal(user, &c)
	if err != nil {
		return c, err
	}
	invitation, err := e.invitation(ctx, user, &c)
	if err != nil {
		return c, err
	}
	return c, e.store.Add(ctx, row, MaxContacts, invitation, e.limits())
}

// Change saves a contact of the user's anew. Whoever is to be reached at another
// address, or by another telephone as well, is asked again.
func (e *EmergencyContacts) Change(ctx context.Context, user fleet.UserID, c fleet.Contact) (fleet.Contact, error) {
	stored, err := e.store.Get(ctx, user, c.ID)
	if err != nil {
		return c, err
	}
	before, err := e.open(stored)
	if err != nil {
		return c, err
	}
	row, err := e.seal(user, &c)
	if err != nil {
		return c, err
	}
	var again *schema.Invitation
	if reachedAt(&before) != reachedAt(&c) || c.Phone != "" && c.Phone != before.Phone {
		invitation, err := e.invitation(ctx, user, &c)
		if err != nil {
			return c, err
		}
		again = &invitation
	}
	if err := e.store.Change(ctx, row, e.clock.Now(), again, e.limits()); err != nil {
		return c, err
	}
	stored, err = e.store.Get(ctx, user, c.ID)
	if err != nil {
		return c, err
	}
	return e.open(stored)
}

// Invite invites a contact once more who has not answered: what they were sent has
// expired, or did not reach them. The links that they have stay good.
func (e *EmergencyContacts) Invite(ctx context.Context, user fleet.UserID, id fleet.ContactID) error {
	stored, err := e.store.Get(ctx, user, id)
	if err != nil {
		return err
	}
	c, err := e.open(stored)
	if err != nil {
		return err
	}
	invitation, err := e.invitation(ctx, user, &c)
	if err != nil {
		return err
	}
	return e.store.Reinvite(ctx, stored, invitation, e.limits())
}

// Delete deletes a contact of the user's.
func (e *EmergencyContacts) Delete(ctx context.Context, user fleet.UserID, id fleet.ContactID) error {
	return e.store.Delete(ctx, user, id)
}

// OptIn is the yes of somebody who was invited, by the token of the invitation.
func (e *EmergencyContacts) OptIn(ctx context.Context, token string) error {
	return e.store.OptIn(ctx, e.tokenHash(token), e.clock.Now())
}

// OptOut is their no, at any time.
func (e *EmergencyContacts) OptOut(ctx context.Context, token string) error {
	return e.store.OptOut(ctx, e.tokenHash(token), e.clock.Now())
}

func (e *EmergencyContacts) tokenHash(token string) []byte {
	return e.keyring.Hash("contact-invitation/" + token)
}

func (e *EmergencyContacts) limits() schema.InvitationLimits {
	now := e.clock.Now()
	return schema.InvitationLimits{
		ByUser: invitesADay, UserSince: now.Add(-24 * time.Hour), ToAddress: invitesAMonthTo, ToSince: now.Add(-30 * 24 * time.Hour),
	}
}

// invitation makes the invitation of a contact. Its token is in the fragment of
// the link, which no browser sends to any server.
func (e *EmergencyContacts) invitation(ctx context.Context, user fleet.UserID, c *fleet.Contact) (schema.Invitation, error) {
	u, err := e.users.Get(ctx, user)
	if err != nil {
		return schema.Invitation{}, err
	}
	random := make([]byte, 32)
	rand.Read(random)
	token := base64.RawURLEncoding.EncodeToString(random)
	now := e.clock.Now()
	n := fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), Channel: fleet.MailChannel, To: c.Email, Kind: invitationKind,
		Created: now, Expires: now.Add(InvitationLife),
	}
	if c.Email == "" {
		n.Channel, n.To = fleet.SMSChannel, c.Phone
	}
	said := map[string]string{"to": shown(c.Name), "from": shown(u.Name), "link": e.page + "#" + token}
	if n.Channel == fleet.MailChannel && c.Phone != "" { // whoever agrees does so for both
		said["phone"] = c.Phone[len(c.Phone)-4:]
	}
	plain, err := json.Marshal(said)
	if err != nil {
		return schema.Invitation{}, err
	}
	n.Sealed = e.keyring.Seal(plain, n.Purpose())
	return schema.Invitation{
		Token: e.tokenHash(token), Address: e.keyring.Hash("contact-address/" + reachedAt(c)), Expires: n.Expires, Notice: n,
	}, nil
}

// joint is a dot inside a word, of which mail programs make a link.
var joint = regexp.MustCompile(`\.(\S)`)

// shown is a name as a stranger is shown it: too short for a message of its own,
// and without what would make a link of it.
func shown(name string) string {
	const longest = 60
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune("/:@<>", r) {
			return ' '
		}
		return r
	}, name)
	runes := []rune(joint.ReplaceAllString(name, ". $1"))
	return strings.TrimSpace(string(runes[:min(len(runes), longest)]))
}

// reachedAt is where an invitation goes.
func reachedAt(c *fleet.Contact) string {
	if c.Email != "" {
		return c.Email
	}
	return c.Phone
}

// seal checks a contact and makes of it what is stored.
func (e *EmergencyContacts) seal(user fleet.UserID, c *fleet.Contact) (schema.SealedContact, error) {
	var err error
	if c.Name = strings.TrimSpace(c.Name); c.Name == "" {
		return schema.SealedContact{}, invalid("the contact has no name")
	}
	if c.Email == "" && c.Phone == "" {
		return schema.SealedContact{}, invalid("the contact has neither an e-mail address nor a telephone number")
	}
	if c.Email != "" {
		if c.Email, err = address(c.Email); err != nil {
			return schema.SealedContact{}, err
		}
	}
	if c.Phone != "" && !phoneNumber.MatchString(c.Phone) {
		return schema.SealedContact{}, invalid("phone is not a telephone number in the form +442079460000")
	}
	plain, err := json.Marshal(contactText{Name: c.Name, Relation: c.Relation, Email: c.Email, Phone: c.Phone})
	if err != nil {
		return schema.SealedContact{}, err
	}
	return schema.SealedContact{ID: c.ID, User: user, Sealed: e.keyring.Seal(plain, contactPurpose(user, c.ID)), Created: c.Created}, nil
}

// Open opens a contact that is stored.
func (e *EmergencyContacts) Open(row schema.SealedContact) (fleet.Contact, error) { return e.open(row) }

func (e *EmergencyContacts) open(row schema.SealedContact) (fleet.Contact, error) {
	plain, err := e.keyring.Unseal(row.Sealed, contactPurpose(row.User, row.ID))
	if err != nil {
		return fleet.Contact{}, err
	}
	var text contactText
	if err := json.Unmarshal(plain, &text); err != nil {
		return fleet.Contact{}, fmt.Errorf("a stored contact: %w", err)
	}
	return fleet.Contact{
		ID: row.ID, Name: text.Name, Relation: text.Relation, Email: text.Email, Phone: text.Phone,
		State: row.State, Answered: row.Answered, Created: row.Created,
	}, nil
}

func contactPurpose(user fleet.UserID, id fleet.ContactID) string {
	return "contact/" + user.String() + "/" + id.String()
}
