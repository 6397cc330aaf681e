package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"armora/fleet"
)

// oldestServer is the oldest PostgreSQL whose statements we use.
const oldestServer = 15

// usualServers are where the distributions put the server's binaries.
var usualServers = []string{
	"/usr/lib/postgresql/*/bin",  // Debian, Ubuntu
	"/usr/pgsql-*/bin",           // PGDG on Red Hat
	"/usr/local/pgsql/bin",       // from source
	"/usr/local/bin", "/usr/bin", // Docker images, Alpine, Arch
	"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
}

// findServer returns the folder of the server's binaries: of the data's own
// major version if there is data, else of the newest.
func findServer(ctx context.Context, patterns []string, data string) (string, error) {
	if patterns == nil {
		patterns = usualServers
	}
	installed := make(map[int]string) // major version → folder
	for _, pattern := range patterns {
		folders, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, folder := range folders {
			if major := serverVersion(ctx, folder); major >= oldestServer && installed[major] == "" {
				installed[major] = folder
			}
		}
	}
	want, err := dataVersion(data)
	if err != nil {
		return "", err
	}
	if len(installed) == 0 {
		version := max(want, oldestServer)
		return "", &fleet.Error{Code: fleet.CodeUnavailable, Message: fmt.Sprintf(
			"no PostgreSQL server (%d or newer) is installed: run apt-get install postgresql-%d, or set DATABASE_URL to a running one",
			version, version)}
	}
	majors := make([]int, 0, len(installed))
	for major := range installed {
		majors = append(majors, major)
	}
	newest := slices.Max(majors)
	switch {
	case want == 0:
		return installed[newest], nil
	case installed[want] != "":
		return installed[want], nil
	}
	return "", &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf(
		"%s was made by PostgreSQL %d, and only %d is installed: run apt-get install postgresql-%d, or "+
			"move the data with pg_upgrade, or move the folder away to start afresh", data, want, newest, want)}
}

// serverVersion is the major version of the server in the folder, 0 if there
// is none that can be run.
func serverVersion(ctx context.Context, folder string) int {
	for _, name := range []string{"postgres", "initdb"} {
		if !exists(filepath.Join(folder, name)) {
			return 0
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(folder, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	// postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return 0
	}
	version := fields[2] // 15.13, or 18beta1
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	major, err := strconv.Atoi(version[:end])
	if err != nil {
		return 0
	}
	return major
}

// dataVersion is the major version that made the data, 0 if there is none.
func dataVersion(data string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the private database: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION holds %q, which is no PostgreSQL version", data, raw)
	}
	return major, nil
}

// serverOwner is the user to run the server as: nil for the hub's own, postgres
// when the hub is root, because PostgreSQL refuses to run as root.
func serverOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, &fleet.Error{Code: fleet.CodeUnavailable, Message: "there is no user postgres, as whom PostgreSQL runs when the hub " +
			"is root: run apt-get install postgresql, or start the hub as another user, or set DATABASE_URL", Err: err}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// makeReachable makes the data folder, and sees to it that owner can pass
// through it. Folders above it that exist are not ours to open: one that is
// closed is an error that names it, and then nothing is made.
func makeReachable(dir string, owner *syscall.Credential) error {
	if owner == nil {
		return made(os.MkdirAll(dir, 0o700))
	}
	there := dir
	for !exists(there) {
		there = filepath.Dir(there)
	}
	real, err := filepath.EvalSymlinks(there)
	if err != nil {
		return made(err)
	}
	if there == dir {
		real = filepath.Dir(real) // dir itself is ours to open
	}
	if err := openAbove(real, dir, owner); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return made(err)
	}
	info, err := os.Stat(dir)
	if err != nil || passable(info, owner) {
		return made(err)
	}
	return made(os.Chmod(dir, info.Mode().Perm()|0o011))
}

func made(err error) error {
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// openAbove reports the first folder from parent upwards that owner cannot
// walk through on the way to dir.
func openAbove(parent, dir string, owner *syscall.Credential) error {
	for {
		info, err := os.Stat(parent)
		if err != nil {
			return made(err)
		}
		if !passable(info, owner) {
			return &fleet.Error{Code: fleet.CodeInvalid, Message: fmt.Sprintf(
				"the data folder %s cannot be reached by the user postgres, as whom PostgreSQL runs when the hub is root, "+
					"because %s is closed to it (%v): use --data-dir /var/lib/armora, or start the hub as another user",
				dir, parent, info.Mode().Perm())}
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
		parent = filepath.Dir(parent)
	}
}

// passable reports whether the owner may walk through the folder.
func passable(info os.FileInfo, owner *syscall.Credential) bool {
	bit := os.FileMode(0o001)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case s.Uid == owner.Uid:
			bit = 0o100
		case s.Gid == owner.Gid:
			bit = 0o010
		}
	}
	return info.Mode().Perm()&bit != 0
}

// give makes a file or folder the server's user's.
func (p *Private) give(path string) error {
	if p.owner == nil {
		return nil
	}
	return os.Chown(path, int(p.owner.Uid), int(p.owner.Gid))
}

// initialise makes the database's files if they are not there. They are made
// beside their place and renamed, so that a hub that dies meanwhile leaves
// nothing that looks finished; the initdb that it leaves running has a folder
// that nobody else uses.
func (p *Private) initialise(ctx context.Context) error {
	data := p.path("postgres")
	if exists(filepath.Join(data, "PG_VERSION")) {
		return nil
	}
	drafts, err := filepath.Glob(p.path("postgres.new-*"))
	if err != nil {
		return err
	}
	for _, left := range drafts {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	draft, err := os.MkdirTemp(p.dir, "postgres.new-*")
	if err != nil {
		return err
	}
	if err := p.give(draft); err != nil {
		return err
	}
	args := []string{"--pgdata", draft, "--username", privateRole, "--pwfile", p.path("postgres.password"),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"}
	if p.options.volatile {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: p.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the private database: %w: %s", err, lastLines(out))
	}
	return os.Rename(draft, data)
}

// lastLines is the end of a program's output, on one line.
func lastLines(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-4):], []byte(" | ")))
}
