package fleet

import (
	"slices"
	"time"
)

// ConsentDocument is one version of a text that people are asked to agree to.
type ConsentDocument struct {
	Kind     string // terms, privacy…
	Version  int
	Title    string
	Language string    // BCP 47
	Text     string    // Markdown
	Hash     []byte    // SHA-256 of the text
	InForce  time.Time // from then on, until a later version is
	Required bool      // there is no service without it
	AskedOf  []Role    // none: everybody
}

// IsFor reports whether somebody with these roles is asked to agree.
func (d *ConsentDocument) IsFor(roles []Role) bool {
	return len(d.AskedOf) == 0 || slices.ContainsFunc(d.AskedOf, func(r Role) bool { return slices.Contains(roles, r) })
}

// ConsentID identifies an act of consent.
type ConsentID = ID[Consent]

// Consent is what somebody once said to a document. It is never changed: who
// thinks otherwise says so anew, and the last word on a kind counts.
type Consent struct {
	ID      ConsentID
	User    UserID
	Kind    string
	Version int
	Hash    []byte // of the text that they saw
	Act     ConsentAct
	Means   ConsentMeans
	Session UserSessionID // by which they said it
	Address string        // of the peer; "" once the person is erased
	Agent   string        // as the app or browser called itself; likewise
	At      time.Time
}

// ConsentAct is what somebody says to a document.
type ConsentAct string

// The acts.
const (
	ConsentGiven     ConsentAct = "given"
	ConsentWithdrawn ConsentAct = "withdrawn" // or refused
)

// ConsentMeans is where somebody said it.
type ConsentMeans string

// The means.
const (
	ConsentByList          ConsentMeans = "list"          // of what they are asked to agree to
	ConsentByQuestionnaire ConsentMeans = "questionnaire" // in its review
)
