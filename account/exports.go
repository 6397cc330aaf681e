package account

import (
	"context"
	"io"
	"time"

	"github.com/riverqueue/river"

	"armora/files"
	"armora/fleet"
	"armora/schema"
)

// ExportsConfig is what Exports needs. All is required.
type ExportsConfig struct {
	DB      *schema.DB
	Keyring *Keyring
	Files   *files.Files
	Clock   fleet.Clock
}

// Exports give people all that is known of them, as a ZIP of JSON and CSV. It is
// safe for concurrent use.
type Exports struct {
	teller
	store schema.Exports
	files *files.Files
}

// NewExports returns the exports of a hub.
func NewExports(cfg ExportsConfig) *Exports {
	return &Exports{teller: teller{keyring: cfg.Keyring, clock: cfg.Clock}, store: schema.Exports{DB: cfg.DB}, files: cfg.Files}
}

// Ask has an export made, and tells the person in all their sessions. While one is
// being made there is no second.
func (x *Exports) Ask(ctx context.Context, user fleet.UserID) (fleet.Export, error) {
	e := fleet.Export{ID: fleet.NewID[fleet.Export](), User: user, Asked: x.clock.Now()}
	return e, x.store.Ask(ctx, e, x.telling("export_asked", nil))
}

// List returns a person's exports, the newest first.
func (x *Exports) List(ctx context.Context, user fleet.UserID) ([]fleet.Export, error) {
	return x.store.List(ctx, user)
}

// Get returns an export of the person's own.
func (x *Exports) Get(ctx context.Context, user fleet.UserID, id fleet.ExportID) (fleet.Export, error) {
	return x.store.Own(ctx, user, id)
}

// Open returns the ZIP of an export of the person's own, which the caller closes.
// One that is not ready, or was kept long enough, is CodeNotFound.
func (x *Exports) Open(ctx context.Context, user fleet.UserID, id fleet.ExportID) (fleet.File, io.ReadCloser, error) {
	file, key, err := x.store.File(ctx, user, id, x.clock.Now())
	if err != nil {
		return fleet.File{}, nil, err
	}
	content, err := x.files.Read(ctx, file, key)
	return file, content, err
}

// AddWorkers adds those who do the jobs of exports.
func (x *Exports) AddWorkers(to *river.Workers) { river.AddWorker(to, &exporter{exports: x}) }

type exporter struct {
	river.WorkerDefaults[fleet.ExportJob]
	exports *Exports
}

// exportTimeout is how long an export may take: a month of points is millions.
const exportTimeout = 30 * time.Minute

// Timeout implements river.Worker.
func (*exporter) Timeout(*river.Job[fleet.ExportJob]) time.Duration { return exportTimeout }

// Work implements river.Worker.
func (w *exporter) Work(ctx context.Context, job *river.Job[fleet.ExportJob]) error {
	return w.exports.Make(ctx, job.Args.ID)
}

// Make makes an export that was asked for. It may be done again, wherever it was
// killed: what was left of it then is deleted first.
func (x *Exports) Make(ctx context.Context, id fleet.ExportID) error {
	draft := fleet.NewID[fleet.File]()
	e, before, err := x.store.Claim(ctx, id, draft)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // it is ready, or its person was erased
	}
	if err != nil {
		return err
	}
	if !before.IsZero() {
		x.files.Discard(ctx, before)
	}
	file := fleet.File{
		ID: draft, Owner: e.User, Purpose: fleet.ExportFile,
		Name: "armora-" + e.Asked.Format(time.DateOnly) + ".zip", MediaType: "application/zip",
	}
	file, key, err := x.files.Write(ctx, file, func(w io.Writer) error { return x.write(ctx, e, w) })
	if err == nil {
		err = x.store.Finish(ctx, e.ID, file, key, x.telling("export_ready", nil))
	}
	if err != nil {
		x.files.Discard(ctx, draft)
	}
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // somebody else makes it, or its person was erased meanwhile
	}
	return err
}
