package schema

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Private is a PostgreSQL server of the hub's own, for a hub that was given no
// database. It listens on a unix socket only, and its data lies in the data
// folder:
//
//	hub.lock           held while a hub uses the folder
//	postgres/          the database
//	postgres.password  of its only role, armora
//	postgres.log       what the server says
//	run/               its socket (in the temporary folder if this path is too long for one)
//
// The server has a session of its own, so that Ctrl-C reaches the hub alone, and
// it outlives a hub that is killed: the next hub adopts it.
type Private struct {
	dir     string // absolute
	bin     string // folder of the server's binaries
	options privateOptions
	owner   *syscall.Credential // nil: the hub's own user
	log     *slog.Logger
	lock    *os.File

	mu       sync.Mutex
	server   postmaster
	password string
	socket   string // folder of the socket
	closed   bool
}

// PrivateOption changes how StartPrivate runs the server.
type PrivateOption func(*privateOptions)

type privateOptions struct {
	volatile bool
	bins     []string      // folders to look for the server's binaries in; nil: the usual ones
	patience time.Duration // for a server that was left running to answer
}

// WithoutFsync makes the server faster and its data worthless after a crash.
// It is for tests only.
func WithoutFsync() PrivateOption { return func(o *privateOptions) { o.volatile = true } }

const (
	privateRole     = "armora"         // and the database's name
	adoptPatience   = 15 * time.Second // for a server that was left running to answer
	startPatience   = 15 * time.Second // for the remains of a killed server to go away
	connectPatience = 3 * time.Second  // for one try
	pollInterval    = 25 * time.Millisecond
)

// StartPrivate starts the private server of the folder, which it makes if need
// be, and returns when the server answers; until then ctx bounds it. A server
// that a killed hub has left running is adopted; one that no longer answers is
// ended and started afresh. Each of these is an error of one line that says
// what to do: the folder is another hub's, no server is installed, the data is
// of another major version, and (as root) the folder cannot be reached by the
// user postgres, under which the server then runs, since PostgreSQL refuses root.
func StartPrivate(ctx context.Context, dataDir string, log *slog.Logger, opts ...PrivateOption) (*Private, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Private{log: log, options: privateOptions{patience: adoptPatience}}
	for _, o := range opts {
		o(&p.options)
	}
	var err error
	if p.dir, err = filepath.Abs(dataDir); err != nil {
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		p.unlock()
		return nil, err
	}
	return p, nil
}

func (p *Private) open(ctx context.Context) (err error) {
	if p.owner, err = serverOwner(); err != nil {
		return err
	}
	if err := makeReachable(p.dir, p.owner); err != nil {
		return err
	}
	if err := p.takeLock(); err != nil {
		return err
	}
	if p.bin, err = findServer(ctx, p.options.bins, p.path("postgres")); err != nil {
		return err
	}
	if p.password, err = p.loadPassword(); err != nil {
		return err
	}
	if err := p.initialise(ctx); err != nil {
		return err
	}
	adopted, err := p.adopt(ctx)
	if err != nil {
		return err
	}
	if !adopted {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	if err := p.makeDatabase(ctx); err != nil {
		return errors.Join(err, p.stop(ctx))
	}
	return nil
}

func (p *Private) path(name string) string { return filepath.Join(p.dir, name) }

// DSN is the address of the server's database. It holds the password.
func (p *Private) DSN() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dsn(privateRole)
}

func (p *Private) dsn(database string) string {
	quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p.socket) + "'"
	return fmt.Sprintf("host=%s user=%s password=%s dbname=%s sslmode=disable", quoted, privateRole, p.password, database)
}

// PID is the server's process id now.
func (p *Private) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.pid
}

// Supervise starts the server again whenever it dies, until ctx ends or Close
// is called. Starting replays the write-ahead log: what was committed is there.
// End ctx before Close: Close, DSN and PID wait while the server is starting.
func (p *Private) Supervise(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if closed := p.revive(ctx); closed {
			return
		}
	}
}

func (p *Private) revive(ctx context.Context) (closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.server.alive() {
		return p.closed
	}
	p.log.Warn("the private PostgreSQL has died, starting it again", "log", p.path("postgres.log"))
	if err := p.start(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("the private PostgreSQL does not start, trying again", "error", err)
	}
	return false
}

// Close ends the server: its clients are disconnected and what is committed is
// on disk (a fast shutdown). When ctx ends first, it is ended the hard way, and
// the next start replays the log. It may be called more than once.
func (p *Private) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.stop(ctx)
	if filepath.Dir(p.socket) != p.dir {
		_ = os.Remove(p.socket) // in the temporary folder; it fails if the server did
	}
	p.unlock()
	return err
}

func (p *Private) stop(ctx context.Context) error {
	if err := p.server.stop(ctx); err != nil {
		return fmt.Errorf("stop the private PostgreSQL: %w", err)
	}
	return nil
}

// takeLock makes the folder ours until unlock or the death of this process.
func (p *Private) takeLock() error {
	f, err := os.OpenFile(p.path("hub.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // a message without the pid is good enough
		_ = f.Close()
		return &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf(
			"the data folder %s is in use by another hub (process %s): stop it, or choose another --data-dir",
			p.dir, strings.TrimSpace(string(holder[:n])))}
	}
	p.lock = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	return err
}

func (p *Private) unlock() {
	if p.lock != nil {
		_ = p.lock.Close() // closing is what unlocks; there is nothing to do about its failure
	}
}

// loadPassword returns the password of the folder's database, and makes one for
// a new folder. It is written before the database is made from it.
func (p *Private) loadPassword() (string, error) {
	file := p.path("postgres.password")
	raw, err := os.ReadFile(file)
	switch {
	case err == nil && len(raw) > 0:
		return strings.TrimSpace(string(raw)), nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("read the private database's password: %w", err)
	case exists(p.path("postgres")):
		return "", &fleet.Error{Code: fleet.CodeInvalid, Message: fmt.Sprintf(
			"%s is missing, and with it the way into %s: restore the file, or move the folder away to start afresh",
			file, p.path("postgres"))}
	}
	password := rand.Text()
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the private database's password: %w", err)
	}
	return password, p.give(file) // initdb reads it as the server's user
}

// makeDatabase makes the hub's database if it is not there.
func (p *Private) makeDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.dsn("postgres"))
	if err != nil {
		return fmt.Errorf("enter the private PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, privateRole).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+privateRole)
	}
	if err != nil {
		return fmt.Errorf("make the hub's database: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
