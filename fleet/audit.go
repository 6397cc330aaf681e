package fleet

import (
	"encoding/json"
	"time"
)

// AuditID identifies an entry of the audit log.
type AuditID = ID[AuditEntry]

// AuditEntry says who did what, or looked at whose data. It names people by their
// ids alone, which say nothing once a person is erased.
type AuditEntry struct {
	ID        AuditID         // zero: it gets one when it is recorded
	Actor     string          // the caller's name: a user's id, "bootstrap", a partner's client id
	ActorUser UserID          // zero: not a person
	Action    string          // what was done: "read_location", "set-user-roles"
	Subject   UserID          // whom it is about; zero: nobody, or Subjects
	Subjects  []UserID        // whom it is about, if they are several
	Object    string          // what was touched: "device/<id>"
	Detail    json.RawMessage // nothing that identifies a person
	At        time.Time
	RequestID string
}

// About lists whom the entry is about.
func (e *AuditEntry) About() []UserID {
	if e.Subject.IsZero() {
		return e.Subjects
	}
	return append([]UserID{e.Subject}, e.Subjects...)
}

// AuditSeal closes a batch of entries: its hash covers them all, and the seal
// before it, so that none can be changed, taken out, put in or moved later
// without every later seal showing it.
type AuditSeal struct {
	Seq      int64 // 1 for the first
	Entries  []AuditID
	Hashes   []byte // of each entry, one after the other
	Previous []byte // hash of the seal before; of the first, empty
	Hash     []byte
	Sealed   time.Time
	Retired  time.Time // zero: its entries are kept; else when retention deleted them
}
