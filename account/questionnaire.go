package account

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"armora/fleet"
	"armora/schema"
)

// The steps of the questionnaire that code knows by name: that of the consents,
// which completes it, and that which names contacts.
const (
	reviewStep   = "review"
	contactsStep = "emergency_contacts"
)

// Questionnaires are the security assessments of people: each filled in step by
// step, and complete once its review has given the consents. It is safe for
// concurrent use.
//
// An assessment is kept by the version of the form that it was filled in by, and
// read by it. The first change after there is a newer form carries over what fits
// that; the rest, and the consents, are asked for again.
type Questionnaires struct {
	store   schema.Questionnaires
	keyring *Keyring
	audit   schema.Audit
	forms   forms
	clock   fleet.Clock

	consents *Consents
	contacts schema.EmergencyContacts
}

// NewQuestionnaires returns the questionnaires of a hub.
func NewQuestionnaires(db *schema.DB, keyring *Keyring, consents *Consents, clock fleet.Clock) (*Questionnaires, error) {
	all, err := loadForms(formFiles, "questionnaire")
	return &Questionnaires{
		store: schema.Questionnaires{DB: db}, keyring: keyring, audit: schema.Audit{DB: db}, forms: all, clock: clock, consents: consents,
		contacts: schema.EmergencyContacts{DB: db},
	}, err
}

// Assessment is a questionnaire in clear.
type Assessment struct {
	fleet.Questionnaire          // its body holds the answers by step, each in clear
	Missing             []string // the steps that its form still asks for, in order
}

// Form returns the newest form, a JSON Schema.
func (q *Questionnaires) Form() json.RawMessage { return q.forms.newest().text }

// Get returns a user's assessment to the user.
func (q *Questionnaires) Get(ctx context.Context, user fleet.UserID) (Assessment, error) {
	stored, err := q.store.Get(ctx, user)
	if err != nil {
		return Assessment{}, err
	}
	return q.open(user, stored)
}

// ReadBy returns a user's assessment to staff who may see the user, and enters
// that in the audit log first.
func (q *Questionnaires) ReadBy(ctx context.Context, reader *Caller, user fleet.UserID) (Assessment, error) {
	stored, err := q.store.GetFor(ctx, reader.User, user)
	if err != nil {
		return Assessment{}, err
	}
	if err := q.audit.Record(ctx, fleet.AuditEntry{
		Actor: reader.Name, ActorUser: reader.User, Action: "read_questionnaire", Subject: user, At: q.clock.Now(),
	}); err != nil {
		return Assessment{}, err
	}
	return q.open(user, stored)
}

// Put saves all answers of a user in place of those of the given version. With
// the review, all steps must be there, and what it agrees to is given.
func (q *Questionnaires) Put(ctx context.Context, by Signatory, version int64, document json.RawMessage) error {
	var given answers
	if err := json.Unmarshal(document, &given); err != nil || given == nil {
		return invalid("the answers are not a JSON object of steps")
	}
	return q.change(ctx, by, version, given[reviewStep], func(kept answers) {
		clear(kept)
		maps.Copy(kept, given)
	})
}

// PutStep saves the answer to one step. The review completes the assessment: it
// is refused while a step is missing, and gives the consents that it names.
func (q *Questionnaires) PutStep(ctx context.Context, by Signatory, version int64, step string, answer json.RawMessage) error {
	if _, known := q.forms.newest().parts[step]; !known {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "the questionnaire has no such step"}
	}
	var review json.RawMessage
	if step == reviewStep {
		review = answer
	}
	return q.change(ctx, by, version, review, func(kept answers) { kept[step] = answer })
}

// answers are those of a questionnaire in clear, by step.
type answers map[string]json.RawMessage

// change makes an edit, and gives the consents of a review; nil: the edit has
// none.
func (q *Questionnaires) change(ctx context.Context, by Signatory, version int64, review json.RawMessage, edit func(answers)) error {
	return lastWins(version, func() error {
		stored, err := q.store.Get(ctx, by.User)
		if err != nil {
			return err
		}
		if version != AnyVersion && version != stored.Version {
			return changed("questionnaire")
		}
		kept, err := q.unseal(by.User, stored)
		if err != nil {
			return err
		}
		f := q.forms.newest()
		if stored.Form != f.version {
			carryOver(kept, f)
		}
		named := kept[contactsStep]
		edit(kept)
		next, err := q.seal(by.User, f, kept)
		if err == nil && !bytes.Equal(named, kept[contactsStep]) {
			err = q.ownContacts(ctx, by.User, kept[contactsStep])
		}
		if err != nil {
			return err
		}
		agreed, err := q.agreed(ctx, by, review)
		if err != nil {
			return err
		}
		next.Version = stored.Version
		if _, reviewed := kept[reviewStep]; reviewed {
			next.Completed = stored.Completed
			if next.Completed.IsZero() || stored.Form != f.version {
				next.Completed = next.Changed
			}
		}
		return q.store.Put(ctx, by.User, next, agreed...)
	})
}

// ownContacts refuses an answer, which fits its form or is none, that names somebody
// who is none of the user's contacts.
func (q *Questionnaires) ownContacts(ctx context.Context, user fleet.UserID, answer json.RawMessage) error {
	var named struct {
		IDs []fleet.ContactID `json:"contact_ids"`
	}
	if len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, &named); err != nil {
		return invalid("contact_ids are not ids")
	}
	if len(named.IDs) == 0 {
		return nil
	}
	own, err := q.contacts.List(ctx, user)
	if err != nil {
		return err
	}
	var flaws []fleet.Flaw
	for i, id := range named.IDs {
		if !slices.ContainsFunc(own, func(c schema.SealedContact) bool { return c.ID == id }) {
			flaws = append(flaws, fleet.Flaw{Location: fmt.Sprintf("%s.contact_ids[%d]", contactsStep, i), Message: "is none of your contacts"})
		}
	}
	return refused("the questionnaire", flaws)
}

// agreed are the consents that a review, which fits its form, gives.
func (q *Questionnaires) agreed(ctx context.Context, by Signatory, review json.RawMessage) ([]fleet.Consent, error) {
	if review == nil {
		return nil, nil
	}
	var answer struct {
		Consents map[string]int `json:"consents"`
	}
	if err := json.Unmarshal(review, &answer); err != nil {
		return nil, invalid("the review's consents are not versions by kind")
	}
	given, flaws, err := q.consents.review(ctx, by, answer.Consents)
	if err == nil {
		err = refused("the questionnaire", flaws)
	}
	return given, err
}

// carryOver takes away what does not fit a newer form, and the consents, which
// were given to the older.
func carryOver(kept answers, f *form) {
	for step, answer := range kept {
		part, asked := f.parts[step]
		if !asked || step == reviewStep || len(validate(part, step, answer)) > 0 {
			delete(kept, step)
		}
	}
}

// seal checks answers and makes of them what is stored.
func (q *Questionnaires) seal(user fleet.UserID, f *form, given answers) (fleet.Questionnaire, error) {
	stored := fleet.Questionnaire{FilledForm: fleet.FilledForm{Form: f.version, Changed: q.clock.Now()}, Risk: f.risk(given)}
	var flaws []fleet.Flaw
	body := make(map[string]any, len(given))
	for _, step := range slices.Sorted(maps.Keys(given)) {
		part, asked := f.parts[step]
		if !asked {
			flaws = append(flaws, fleet.Flaw{Location: step, Message: "is no step of the form"})
			continue
		}
		flaws = append(flaws, validate(part, step, given[step])...)
		body[step] = given[step]
		if f.notes.Properties[step].Sealed {
			body[step] = sealedAnswer{Sealed: q.keyring.Seal(given[step], answerPurpose(user, step))}
		}
	}
	if _, reviewed := given[reviewStep]; reviewed {
		for _, step := range f.missing(given) {
			flaws = append(flaws, fleet.Flaw{Location: step, Message: "is still to be answered before the review"})
		}
	}
	if err := refused("the questionnaire", flaws); err != nil {
		return stored, err
	}
	text, err := json.Marshal(body)
	stored.Body = text
	return stored, err
}

// sealedAnswer stands in the place of an answer that is not for the eyes of
// whoever sees the database.
type sealedAnswer struct {
	Sealed []byte `json:"sealed"`
}

func answerPurpose(user fleet.UserID, step string) string {
	return "questionnaire/" + user.String() + "/" + step
}

// unseal returns what was stored in clear.
func (q *Questionnaires) unseal(user fleet.UserID, stored fleet.Questionnaire) (answers, error) {
	kept := make(answers)
	if stored.Form == 0 {
		return kept, nil
	}
	f, err := q.forms.get(stored.Form)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(stored.Body, &kept); err != nil {
		return nil, fmt.Errorf("a stored questionnaire: %w", err)
	}
	for step, answer := range kept {
		if !f.notes.Properties[step].Sealed {
			continue
		}
		var hidden sealedAnswer
		if err := json.Unmarshal(answer, &hidden); err != nil {
			return nil, fmt.Errorf("a stored questionnaire's %s: %w", step, err)
		}
		if kept[step], err = q.keyring.Unseal(hidden.Sealed, answerPurpose(user, step)); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

func (q *Questionnaires) open(user fleet.UserID, stored fleet.Questionnaire) (Assessment, error) {
	kept, err := q.unseal(user, stored)
	if err != nil {
		return Assessment{}, err
	}
	if stored.Form == 0 {
		stored.Form = q.forms.newest().version
	}
	f, err := q.forms.get(stored.Form)
	if err != nil {
		return Assessment{}, err
	}
	stored.Body, err = json.Marshal(kept)
	return Assessment{Questionnaire: stored, Missing: f.missing(kept)}, err
}

// missing returns the steps that the form asks for and answers lack, in order.
func (f *form) missing(given answers) []string {
	missing := []string{}
	for _, step := range f.notes.Required {
		if _, answered := given[step]; !answered {
			missing = append(missing, step)
		}
	}
	return missing
}

// risk adds up the weights of the questions that were answered with yes. It is ""
// while a step that has such questions is unanswered.
func (f *form) risk(given answers) fleet.RiskBand {
	score := 0
	for step, notes := range f.notes.Properties {
		weighted := false
		for _, question := range notes.Properties {
			weighted = weighted || question.Weight != 0
		}
		if !weighted {
			continue
		}
		var yes map[string]json.RawMessage
		if err := json.Unmarshal(given[step], &yes); err != nil || given[step] == nil {
			return "" // not answered yet, or refused by the form
		}
		for name, answer := range yes {
			if string(answer) == "true" {
				score += notes.Properties[name].Weight
			}
		}
	}
	band := fleet.RiskBand("")
	for _, b := range f.notes.Bands {
		if score >= b.From {
			band = b.Band
		}
	}
	return band
}
