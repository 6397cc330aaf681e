package schema

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"armora/fleet"
)

// ErrDatabaseNewer means that a newer binary has migrated the database.
var ErrDatabaseNewer = errors.New("the database is newer than this binary")

// The migrations: each version is one file, either in both/, or once in plain/
// and once in timescale/ under the same number; that of jobsVersion is Go. None
// goes back: a backup does.
//
//go:embed migrations/*/*.sql
var migrationFiles embed.FS

// migrations is the folder of the migrations for one kind of server: both/
// laid over by the folder of that kind.
type migrations struct{ kind string }

var migrationFolders = []string{"both", "plain", "timescale"}

// Open implements fs.FS.
func (m migrations) Open(name string) (fs.File, error) {
	for _, folder := range []string{"both", m.kind} {
		if f, err := migrationFiles.Open("migrations/" + folder + "/" + name); err == nil {
			return f, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS; there is one folder, ".".
func (m migrations) ReadDir(string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	for _, folder := range []string{"both", m.kind} {
		found, err := migrationFiles.ReadDir("migrations/" + folder)
		if err != nil {
			return nil, err
		}
		entries = append(entries, found...)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Migrate brings the database to this binary's version. Several hubs may call
// it at once: a session lock lets one through, the others wait and find nothing
// to do. A database that is newer than the binary is ErrDatabaseNewer.
func (db *DB) Migrate(ctx context.Context) error {
	current, err := db.version(ctx)
	if err != nil {
		return err
	}
	if err := compareVersions(current, latestVersion()); errors.Is(err, ErrDatabaseNewer) {
		return err
	}
	// Once a second for five minutes: a starting hub waits for another's migration.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	kind := "plain"
	if db.timescale {
		kind = "timescale"
	}
	handle := stdlib.OpenDBFromPool(db.pool)
	defer func() { _ = handle.Close() }() // the pool stays open
	provider, err := goose.NewProvider(goose.DialectPostgres, handle, migrations{kind},
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true), goose.WithSlog(db.log),
		goose.WithGoMigrations(db.migrateJobs()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", translate("migration", err))
	}
	var took time.Duration
	for _, r := range results {
		db.log.Debug("migrated", "version", r.Source.Version, "took", r.Duration)
		took += r.Duration
	}
	if n := len(results); n > 0 {
		db.log.Info("migrated database", "from", current, "to", results[n-1].Source.Version, "took", took)
	}
	return db.syncPolicies(ctx)
}

// version is the last migration that the database has seen, 0 if none.
func (db *DB) version(ctx context.Context) (int64, error) {
	var table bool
	err := db.pool.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&table)
	if err != nil || !table {
		return 0, translate("database", err)
	}
	var version int64
	err = db.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version, translate("database", err)
}

// latestVersion is the last migration that this binary knows.
func latestVersion() int64 {
	latest := int64(jobsVersion)
	for _, folder := range migrationFolders {
		entries, err := migrationFiles.ReadDir("migrations/" + folder)
		if err != nil {
			panic(err) // the folder is embedded at compile time
		}
		for _, e := range entries {
			number, _, _ := strings.Cut(e.Name(), "_")
			if v, err := strconv.ParseInt(number, 10, 64); err == nil {
				latest = max(latest, v)
			}
		}
	}
	return latest
}

func compareVersions(current, latest int64) error {
	switch {
	case current > latest:
		return fmt.Errorf("%w: it is at migration %d and this binary knows %d; start the newer binary, "+
			"or restore the backup made before the upgrade", ErrDatabaseNewer, current, latest)
	case current < latest:
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: fmt.Sprintf(
			"the database is at migration %d and this binary needs %d: run armora migrate", current, latest)}
	}
	return nil
}
