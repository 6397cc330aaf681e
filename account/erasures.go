package account

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// Processor is somebody outside who holds something of people on the hub's behalf:
// who sends its mail, who takes the money. Each is called by a job of its own,
// which tries for weeks.
type Processor struct {
	Name string // in the proof
	// Forget has them erase what they hold of a person, and says what they did. It
	// may be called again after it has succeeded.
	Forget func(context.Context, Erased) (done string, err error)
}

// Erased is a person as processors know them. It is kept, sealed, until the last of
// them has been called.
type Erased struct {
	fleet.Erasure `json:"-"`

	Email string `json:"email"`
	Phone string `json:"phone"`
}

// ErasuresConfig is what Erasures needs. All but Processors is required.
type ErasuresConfig struct {
	DB         *schema.DB
	Keyring    *Keyring
	Sessions   *Sessions
	Devices    *Devices
	Bus        *bus.Bus
	Journal    string // the path of the journal of erasures
	Processors []Processor
	Clock      fleet.Clock
	Log        *slog.Logger
}

// Erasures make accounts nobody's. It is safe for concurrent use.
type Erasures struct {
	teller
	store      schema.Erasures
	users      schema.Users
	sessions   *Sessions
	devices    *Devices
	bus        *bus.Bus
	journal    erasureJournal
	processors []Processor
	log        *slog.Logger
}

// NewErasures returns the erasures of a hub.
func NewErasures(cfg ErasuresConfig) *Erasures {
	return &Erasures{
		teller: teller{keyring: cfg.Keyring, clock: cfg.Clock}, store: schema.Erasures{DB: cfg.DB}, users: schema.Users{DB: cfg.DB},
		sessions: cfg.Sessions, devices: cfg.Devices, bus: cfg.Bus, journal: erasureJournal{path: cfg.Journal},
		processors: cfg.Processors, log: cfg.Log,
	}
}

// Ask erases the caller, who confirms it by their e-mail address. When it returns,
// they are signed out everywhere, the account is nobody's, and the erasure is in
// the journal on disk: it outlives a restore of the database.
func (e *Erasures) Ask(ctx context.Context, c *Caller, confirm string) (fleet.Erasure, error) {
	user, err := e.users.Get(ctx, c.User)
	if err != nil {
		return fleet.Erasure{}, err
	}
	if !strings.EqualFold(strings.TrimSpace(confirm), user.Email) {
		return fleet.Erasure{}, invalid("confirm is not the e-mail address of this account")
	}
	erasure := fleet.Erasure{ID: fleet.NewID[fleet.Erasure](), User: c.User, Asked: e.clock.Now().UTC().Truncate(time.Microsecond)}
	if err := e.begin(ctx, erasure, e.telling("account_erased", nil)); err != nil {
		return fleet.Erasure{}, err
	}
	return erasure, e.journal.add(erasure)
}

// begin makes the account nobody's, and ends what it has opened.
func (e *Erasures) begin(ctx context.Context, erasure fleet.Erasure, tell schema.Telling) error {
	names := make([]string, len(e.processors))
	for i, p := range e.processors {
		names[i] = p.Name
	}
	begun, err := e.store.Begin(ctx, schema.ErasureBegin{Erasure: erasure, Calls: names, Tell: tell, Contact: func(email, phone string) []byte {
		plain, _ := json.Marshal(Erased{Email: email, Phone: phone}) // strings are always written
		return e.keyring.Seal(plain, erasedPurpose(erasure.ID))
	}})
	if err != nil {
		return err
	}
	e.sessions.tell(begun.Sessions)
	for device, was := range begun.Phones {
		e.devices.moved(device, was)
	}
	e.bus.Accounts.Publish(erasure.User)
	return nil
}

func erasedPurpose(id fleet.ErasureID) string { return "erasure/" + id.String() }

// Replay brings database and journal together, when a hub starts: an erasure that
// the database does not know of, since it was restored from before, is done again;
// one that the journal lacks, since the hub died in between, is added. It returns
// how many were done again.
func (e *Erasures) Replay(ctx context.Context) (replayed int, err error) {
	written, err := e.Journal()
	if err != nil {
		return 0, err
	}
	known, err := e.store.List(ctx)
	if err != nil {
		return 0, err
	}
	has := func(list []fleet.Erasure, id fleet.ErasureID) bool {
		return slices.ContainsFunc(list, func(one fleet.Erasure) bool { return one.ID == id })
	}
	for _, erasure := range known {
		if !has(written, erasure.ID) {
			if err := e.journal.add(erasure); err != nil {
				return 0, err
			}
		}
	}
	for _, erasure := range written {
		if has(known, erasure.ID) {
			continue
		}
		erasure.Replayed = e.clock.Now()
		err := e.begin(ctx, erasure, nil)
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			continue // the database is from before they had an account
		}
		if err != nil {
			return replayed, fmt.Errorf("erase %s again: %w", erasure.User, err)
		}
		replayed++
		e.log.Warn("the database did not know of an erasure, it was done again", "erasure", erasure.ID, "asked", erasure.Asked)
	}
	return replayed, nil
}

// Journal returns the erasures that the journal holds, the oldest first.
func (e *Erasures) Journal() ([]fleet.Erasure, error) { return e.journal.read() }

// List returns the erasures that the database holds, the oldest first.
func (e *Erasures) List(ctx context.Context) ([]fleet.Erasure, error) { return e.store.List(ctx) }

// Proofs returns what an erasure did.
func (e *Erasures) Proofs(ctx context.Context, id fleet.ErasureID) ([]fleet.ErasureProof, error) {
	return e.store.Proofs(ctx, id)
}

// AddWorkers adds those who do the jobs of erasures.
func (e *Erasures) AddWorkers(to *river.Workers) {
	river.AddWorker(to, &eraser{erasures: e})
	river.AddWorker(to, &processorCaller{erasures: e})
}

type eraser struct {
	river.WorkerDefaults[fleet.ErasureJob]
	erasures *Erasures
}

// erasureTimeout is how long going through the tables may take: old points may
// have to be unpacked first.
const erasureTimeout = 20 * time.Minute

// Timeout implements river.Worker.
func (*eraser) Timeout(*river.Job[fleet.ErasureJob]) time.Duration { return erasureTimeout }

// Work implements river.Worker.
func (w *eraser) Work(ctx context.Context, job *river.Job[fleet.ErasureJob]) error {
	return w.erasures.Work(ctx, job.Args.ID)
}

// Work goes through the tables for an erasure. It may be done again. Nothing is
// deleted before the journal has the erasure.
func (e *Erasures) Work(ctx context.Context, id fleet.ErasureID) error {
	erasure, err := e.store.Get(ctx, id)
	if err != nil {
		return err
	}
	written, err := e.journal.read()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(written, func(one fleet.Erasure) bool { return one.ID == id }) {
		if err := e.journal.add(erasure); err != nil {
			return err
		}
	}
	return e.store.Work(ctx, id, e.clock.Now())
}

type processorCaller struct {
	river.WorkerDefaults[fleet.ErasureCall]
	erasures *Erasures
}

// Work implements river.Worker.
func (w *processorCaller) Work(ctx context.Context, job *river.Job[fleet.ErasureCall]) error {
	return w.erasures.Call(ctx, job.Args.ID, job.Args.Processor)
}

// Call has a processor erase what it holds, and notes what it said.
func (e *Erasures) Call(ctx context.Context, id fleet.ErasureID, processor string) error {
	erasure, sealed, err := e.store.ToCall(ctx, id, processor)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // it was called
	}
	if err != nil {
		return err
	}
	plain, err := e.keyring.Unseal(sealed, erasedPurpose(id))
	if err != nil {
		return err
	}
	who := Erased{Erasure: erasure}
	if err := json.Unmarshal(plain, &who); err != nil {
		return fmt.Errorf("whom a processor knows: %w", err)
	}
	for _, p := range e.processors {
		if p.Name != processor {
			continue
		}
		done, err := p.Forget(ctx, who)
		if err != nil {
			return fmt.Errorf("have %s erase somebody: %w", processor, err)
		}
		return e.store.Called(ctx, id, processor, done, e.clock.Now())
	}
	return fmt.Errorf("this hub has no processor %s that it could call", processor)
}
