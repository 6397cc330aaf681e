package fleet

import "time"

// DataClass is a kind of personal data: what it is for, on what ground it is
// kept, and for how long. It is the table of design §6.
type DataClass struct {
	Name    string
	Data    string // what belongs to it
	Purpose string
	Basis   string        // in the words of UK GDPR, Article 6 or 9
	Period  time.Duration // 0: as Ends says
	Ends    string        // what ends it instead, or from when Period counts
}

// ExportID identifies an export.
type ExportID = ID[Export]

// Export is all that is known of a person, as they asked for it.
type Export struct {
	ID      ExportID
	User    UserID
	Asked   time.Time
	Ready   time.Time // zero: it is being made
	Expires time.Time // zero likewise; then it is deleted
	File    FileID    // zero likewise, and once it is deleted
	Size    int64     // in bytes
}

// ExportJob makes an export.
type ExportJob struct {
	ID ExportID `json:"id"`
}

// Kind names the job.
func (ExportJob) Kind() string { return "export" }

// ErasureID identifies an erasure.
type ErasureID = ID[Erasure]

// Erasure is that of one person, whose id stands for them from then on and leads
// to nobody.
type Erasure struct {
	ID       ErasureID
	User     UserID
	Asked    time.Time
	Replayed time.Time // zero: never; else when it was done again, after a restore
	Done     time.Time // zero: never yet; else when the tables were last gone through
	Held     bool      // a legal hold keeps something, which goes once it is released
}

// ErasureProof says what an erasure did about one table, or that a processor was
// called.
type ErasureProof struct {
	Subject string // a table, or a processor
	Act     ErasureAct
	Count   int64 // of rows; 0 for what was kept
	Note    string
	At      time.Time
}

// ErasureAct is what an erasure did.
type ErasureAct string

// What is done. What is kept has a reason.
const (
	ErasureDeleted    ErasureAct = "deleted"
	ErasureAnonymised ErasureAct = "anonymised"
	ErasureKept       ErasureAct = "kept"
	ErasureCalled     ErasureAct = "called" // a processor
)

// ErasureJob goes through the tables for an erasure.
type ErasureJob struct {
	ID ErasureID `json:"id"`
}

// Kind names the job.
func (ErasureJob) Kind() string { return "erasure" }

// ErasureCall has one processor erase what it holds of a person.
type ErasureCall struct {
	ID        ErasureID `json:"id"`
	Processor string    `json:"processor"`
}

// Kind names the job.
func (ErasureCall) Kind() string { return "erasure_call" }
