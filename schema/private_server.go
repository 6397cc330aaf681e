package schema

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// postmaster is a running PostgreSQL server: our child, or the child of a hub
// that has died. It is watched by polling, which works for both and needs no
// goroutine. The zero value is a server that is not running.
type postmaster struct {
	pid   int
	child bool
	data  string // its data folder
}

// alive reports whether it runs. A child that has ended is reaped.
func (m *postmaster) alive() bool {
	if m.pid == 0 {
		return false
	}
	if m.child {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(m.pid, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR || err == nil && pid == 0 {
			return true
		}
		m.pid = 0
		return false
	}
	return ownsFolder(m.pid, m.data)
}

// ownsFolder reports whether the process runs in the data folder, as a
// postmaster of it does. It tells a postmaster from a process that was given the
// same pid later, and from its own remains that nobody has reaped.
func ownsFolder(pid int, data string) bool {
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(data)
	return err == nil && cwd == real
}

// stop ends it: politely until ctx ends, then at once, then by force.
func (m *postmaster) stop(ctx context.Context) error {
	if m.signal(syscall.SIGINT) && m.gone(ctx) { // fast shutdown
		return nil
	}
	return m.kill()
}

// kill ends it without a checkpoint.
func (m *postmaster) kill() error {
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		if !m.signal(s) {
			return nil
		}
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		gone := m.gone(patience)
		cancel()
		if gone {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", m.pid)
}

// signal reports false if there is nobody to signal.
func (m *postmaster) signal(s syscall.Signal) bool {
	return m.alive() && syscall.Kill(m.pid, s) == nil
}

// gone waits until it has ended, and reports false if ctx ends first.
func (m *postmaster) gone(ctx context.Context) bool {
	return poll(ctx, func() bool { return !m.alive() })
}

// poll calls done until it is true, and reports false if ctx ends first.
func poll(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// adopt takes over the server that a killed hub has left running. One that does
// not answer is ended, and adopt reports false: start one.
func (p *Private) adopt(ctx context.Context) (bool, error) {
	pid, socket := readPostmaster(p.path("postgres"))
	left := postmaster{pid: pid, data: p.path("postgres")}
	if pid == 0 {
		return false, nil
	}
	if !left.alive() {
		// The file is a dead server's, and its pid may be anybody's by now, which
		// would keep the server from starting.
		return false, os.Remove(filepath.Join(left.data, "postmaster.pid"))
	}
	p.server, p.socket = left, socket
	err := p.answerWithin(ctx, p.options.patience)
	for strings.HasPrefix(sqlState(err), "57P") && ctx.Err() == nil { // it answers that it is recovering
		err = p.answerWithin(ctx, p.options.patience)
	}
	if err == nil {
		p.log.Info("adopted the private PostgreSQL of a hub that was killed", "pid", pid)
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	p.log.Warn("the private PostgreSQL of a hub that was killed does not answer, ending it", "pid", pid, "error", err)
	return false, p.server.kill()
}

// readPostmaster returns the process and the socket folder that the data
// folder's last server has written down; 0 if there is none.
func readPostmaster(data string) (pid int, socket string) {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, ""
	}
	// pid, data folder, start time, port, socket folder, …
	lines := strings.Split(string(raw), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || len(lines) < 5 {
		return 0, ""
	}
	return pid, strings.TrimSpace(lines[4])
}

// start runs the server until it answers. It tries again for a while when the
// server ends at once: processes of one that was killed may need a moment to
// notice, and keep its memory until then.
func (p *Private) start(ctx context.Context) error {
	if err := p.makeSocketFolder(); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if err := p.spawn(); err != nil {
			return err
		}
		err := p.answer(ctx)
		if err == nil {
			return nil
		}
		if p.server.alive() {
			return errors.Join(err, p.server.kill())
		}
		select {
		case <-patience.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// spawn starts the server's process. What it says goes to a file, because a
// pipe to the hub would break with the hub.
func (p *Private) spawn() error {
	data := p.path("postgres")
	log, err := openLog(p.path("postgres.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	// It outlives whoever starts it, and so their contexts.
	cmd := exec.CommandContext(context.Background(), filepath.Join(p.bin, "postgres"), "-D", data)
	for name, value := range p.settings() {
		cmd.Args = append(cmd.Args, "-c", name+"="+value)
	}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: Ctrl-C in the hub's terminal is not for the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: p.owner}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the private PostgreSQL: %w", err)
	}
	p.server = postmaster{pid: cmd.Process.Pid, child: true, data: data}
	return cmd.Process.Release() // alive reaps it
}

func (p *Private) settings() map[string]string {
	durable := "on"
	if p.options.volatile {
		durable = "off"
	}
	return map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": p.socket,
		"unix_socket_permissions": "0700",
		"fsync":                   durable,
		"full_page_writes":        durable,
		"synchronous_commit":      "on",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"shared_buffers":          "256MB",
		// Each checkpoint writes every page that changes after it to the log whole:
		// fewer checkpoints are a shorter log.
		"max_wal_size":       "4GB",
		"checkpoint_timeout": "15min",
		"jit":                "off", // compiling costs more than the short statements that we run
	}
}

// makeSocketFolder chooses and makes the folder of the socket. The path of a
// unix socket is at most 107 bytes.
func (p *Private) makeSocketFolder() error {
	p.socket = p.path("run")
	if len(p.socket)+len("/.s.PGSQL.5432.lock") > 100 || strings.ContainsAny(p.socket, ",@") {
		p.socket = fmt.Sprintf("%s/armora-%x", os.TempDir(), sha256.Sum256([]byte(p.dir)))[:len(os.TempDir())+len("/armora-")+16]
	}
	if err := os.Mkdir(p.socket, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the folder of the private PostgreSQL's socket: %w", err)
	} else if err == nil {
		return p.give(p.socket)
	}
	// It was there: in a shared temporary folder it might be a stranger's trap.
	info, err := os.Lstat(p.socket)
	if err != nil {
		return err
	}
	owner := uint32(os.Geteuid())
	if p.owner != nil {
		owner = p.owner.Uid
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || s.Uid != owner || info.Mode().Perm()&0o077 != 0 {
		return &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf(
			"%s, where the private PostgreSQL's socket belongs, is somebody else's: remove it", p.socket)}
	}
	return nil
}

// answer waits until the server lets us in, and fails when it has ended.
func (p *Private) answer(ctx context.Context) error {
	var last error
	done := poll(ctx, func() bool {
		if !p.server.alive() {
			last = fmt.Errorf("the private PostgreSQL has ended: %s", tail(p.path("postgres.log")))
			return true
		}
		if _, err := os.Stat(filepath.Join(p.socket, ".s.PGSQL.5432")); err != nil {
			last = err // it has not opened its door yet
			return false
		}
		last = p.knock(ctx)
		return last == nil || !comesLater(last)
	})
	if !done && last == nil {
		last = ctx.Err()
	}
	return last
}

func (p *Private) answerWithin(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.answer(ctx)
}

// knock connects once and makes sure that it is our folder's server.
func (p *Private) knock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var data string
	if err := conn.QueryRow(ctx, `SHOW data_directory`).Scan(&data); err != nil {
		return err
	}
	if data != p.path("postgres") {
		return fmt.Errorf("the server at %s is of %s, not of %s", p.socket, data, p.path("postgres"))
	}
	return nil
}

// comesLater reports whether the server may yet let us in: it is starting,
// recovering or stopping (57P), its door is not open, or it has not answered.
func comesLater(err error) bool {
	if state := sqlState(err); state != "" {
		return strings.HasPrefix(state, "57P") || strings.HasPrefix(state, "53")
	}
	var refused *net.OpError
	return errors.As(err, &refused) || isAway(err, "")
}

// openLog opens a log to append to; one that has grown large is put aside first.
func openLog(path string) (*os.File, error) {
	const large = 16 << 20
	if info, err := os.Stat(path); err == nil && info.Size() > large {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// tail is the end of a log, on one line.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(raw)
}
