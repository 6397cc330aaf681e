package account

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"armora/fleet"
	"armora/schema"
)

// maxHistory is how many of their acts a person is shown.
const maxHistory = 200

// Consents are what people are asked to agree to, and what they said. The
// documents are in the binary; of what was said, nothing is ever changed. It is
// safe for concurrent use.
type Consents struct {
	store     schema.Consents
	users     schema.Users
	audit     schema.Audit
	documents consentDocuments
	clock     fleet.Clock
}

// NewConsents returns the consents of a hub.
func NewConsents(db *schema.DB, clock fleet.Clock) (*Consents, error) {
	documents, err := loadConsents(consentFiles)
	return &Consents{
		store: schema.Consents{DB: db}, users: schema.Users{DB: db}, audit: schema.Audit{DB: db}, documents: documents, clock: clock,
	}, err
}

// Signatory is who says what they think of a document, and from where.
type Signatory struct {
	User    fleet.UserID
	Session fleet.UserSessionID
	Where
}

// InForce returns the documents that are in force, in the order of their kinds.
func (c *Consents) InForce() []fleet.ConsentDocument { return c.documents.inForce(c.clock.Now()) }

// Document returns a version of a document, whether it is in force or not.
func (c *Consents) Document(kind string, version int) (fleet.ConsentDocument, error) {
	d, known := c.documents.get(kind, version)
	if !known {
		return d, &fleet.Error{Code: fleet.CodeNotFound, Message: "there is no such document"}
	}
	return d, nil
}

// Said is what a person said to what they were asked.
type Said struct {
	Given   []fleet.Consent         // what they agree to now, of whatever version
	Asked   []fleet.ConsentDocument // in force, and not answered
	History []fleet.Consent         // the newest first
}

// Missing returns the required documents of those that are asked.
func (s *Said) Missing() []fleet.ConsentDocument {
	return slices.DeleteFunc(slices.Clone(s.Asked), func(d fleet.ConsentDocument) bool { return !d.Required })
}

// Of returns what a person said to the documents that they are asked about.
func (c *Consents) Of(ctx context.Context, user fleet.UserID) (Said, error) {
	u, err := c.users.Get(ctx, user)
	if err != nil {
		return Said{}, err
	}
	return c.of(ctx, &u)
}

// Lacking returns the required documents to which a person has not agreed.
func (c *Consents) Lacking(ctx context.Context, user fleet.UserID) ([]fleet.ConsentDocument, error) {
	said, err := c.Of(ctx, user)
	return said.Missing(), err
}

// GiveRequired notes that somebody agrees to all that is required of them: for people
// of a demo, and of tests.
func (c *Consents) GiveRequired(ctx context.Context, by Signatory) error {
	lacking, err := c.Lacking(ctx, by.User)
	for i := range lacking {
		if err == nil {
			_, err = c.Give(ctx, by, lacking[i].Kind, lacking[i].Version, "")
		}
	}
	return err
}

// ReadBy returns it to staff who may see the person, and enters that in the audit
// log first.
func (c *Consents) ReadBy(ctx context.Context, reader *Caller, user fleet.UserID) (Said, error) {
	u, err := c.users.Visible(ctx, reader.User, user)
	if err != nil {
		return Said{}, err
	}
	if err := c.audit.Record(ctx, fleet.AuditEntry{
		Actor: reader.Name, ActorUser: reader.User, Action: "read_consents", Subject: user, At: c.clock.Now(),
	}); err != nil {
		return Said{}, err
	}
	return c.of(ctx, &u)
}

func (c *Consents) of(ctx context.Context, u *fleet.User) (said Said, err error) {
	last, err := c.store.Last(ctx, u.ID)
	if err != nil {
		return said, err
	}
	words := make(map[string]fleet.Consent, len(last))
	for _, l := range last {
		words[l.Kind] = l
		if l.Act == fleet.ConsentGiven {
			said.Given = append(said.Given, l)
		}
	}
	for _, d := range c.InForce() {
		if d.IsFor(u.Roles) && asks(&d, words[d.Kind]) {
			said.Asked = append(said.Asked, d)
		}
	}
	said.History, err = c.store.List(ctx, u.ID, maxHistory)
	return said, err
}

// asks reports whether a document is still to be answered by whoever last said
// this of its kind. A no is an answer, but not to what is required.
func asks(d *fleet.ConsentDocument, last fleet.Consent) bool {
	same := last.Version == d.Version && bytes.Equal(last.Hash, d.Hash)
	return !same || last.Act != fleet.ConsentGiven && d.Required
}

// Give notes that somebody agrees to a version of a document, which must be the
// one in force. The hash, if it is not "", is of the text that they were shown,
// in hexadecimal. It returns their last word, which may be the same.
func (c *Consents) Give(ctx context.Context, by Signatory, kind string, version int, hash string) (fleet.Consent, error) {
	d, flaw := c.agreeable(kind, version)
	if flaw != "" {
		return fleet.Consent{}, invalid("%s", flaw)
	}
	if hash != "" && hash != hex.EncodeToString(d.Hash) {
		return fleet.Consent{}, invalid("this is not the hash of version %d of %s: what was shown is another text", version, kind)
	}
	return c.store.Give(ctx, c.act(by, &d, fleet.ConsentGiven, fleet.ConsentByList))
}

// Withdraw takes back what somebody agreed to, or refuses what they are asked.
func (c *Consents) Withdraw(ctx context.Context, by Signatory, kind string) (fleet.Consent, error) {
	d, known := c.documents.current(kind, c.clock.Now())
	if !known {
		return fleet.Consent{}, invalid("there is no document of this kind in force")
	}
	return c.store.Withdraw(ctx, c.act(by, &d, fleet.ConsentWithdrawn, fleet.ConsentByList), d.Required)
}

// agreeable returns the document that a version of a kind is, if that is what can
// be agreed to now; else what is wrong.
func (c *Consents) agreeable(kind string, version int) (d fleet.ConsentDocument, flaw string) {
	d, known := c.documents.current(kind, c.clock.Now())
	switch {
	case !known:
		return d, "there is no document of this kind in force"
	case version != d.Version:
		return d, fmt.Sprintf("version %d of %s is not in force: version %d is", version, kind, d.Version)
	}
	return d, ""
}

func (c *Consents) act(by Signatory, d *fleet.ConsentDocument, act fleet.ConsentAct, means fleet.ConsentMeans) fleet.Consent {
	return fleet.Consent{
		User: by.User, Kind: d.Kind, Version: d.Version, Hash: d.Hash, Act: act, Means: means,
		Session: by.Session, Address: by.Address, Agent: shorten(by.Agent), At: c.clock.Now(),
	}
}

// review makes of the versions by kind that a questionnaire's review agrees to
// what is stored with it. All that is required, and was not given before, must be
// among them.
func (c *Consents) review(ctx context.Context, by Signatory, agreed map[string]int) ([]fleet.Consent, []fleet.Flaw, error) {
	said, err := c.Of(ctx, by.User)
	if err != nil {
		return nil, nil, err
	}
	var given []fleet.Consent
	var flaws []fleet.Flaw
	for _, kind := range slices.Sorted(maps.Keys(agreed)) {
		d, flaw := c.agreeable(kind, agreed[kind])
		if flaw != "" {
			flaws = append(flaws, fleet.Flaw{Location: reviewStep + ".consents." + kind, Message: flaw})
			continue
		}
		given = append(given, c.act(by, &d, fleet.ConsentGiven, fleet.ConsentByQuestionnaire))
	}
	for _, d := range said.Missing() {
		if _, answered := agreed[d.Kind]; !answered {
			flaws = append(flaws, fleet.Flaw{
				Location: reviewStep + ".consents", Message: fmt.Sprintf("lacks %s, of which version %d is in force", d.Kind, d.Version),
			})
		}
	}
	return given, flaws, nil
}
