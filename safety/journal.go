package safety

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"armora/fleet"
)

// Sealer encrypts what lies in the data folder. account.Keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	Unseal(sealed []byte, purpose string) ([]byte, error)
}

// journalPurpose is what each line of the journal is sealed for.
const journalPurpose = "sos-journal"

// journal is a file that holds, a sealed line each, the entries that the database
// may not have yet, and all of what this hub calls people for. What add has returned for is on disk: it outlives a kill and a
// power cut. It is safe for concurrent use.
type journal struct {
	path   string
	sealer Sealer
	mu     sync.Mutex
	file   *os.File                  // open for appending; nil until the first entry
	holds  map[fleet.SOSEntryID]bool // what the file holds; nil: nobody knows
	locked *os.File                  // while the folder is this hub's; see lock
}

// add appends entries. When it returns nil, they are on disk.
func (j *journal) add(entries ...fleet.SOSEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines, err := j.lines(entries)
	if err != nil {
		return err
	}
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	// It begins on a line of its own, also behind one that was cut.
	if _, err = j.file.Write(append([]byte("\n"), lines...)); err == nil {
		err = j.file.Sync()
	}
	if err != nil { // after a failed fsync nobody knows what the file holds: the next try opens it anew
		err = errors.Join(err, j.file.Close())
		j.file, j.holds = nil, nil
		return fmt.Errorf("write the journal of emergencies: %w", err)
	}
	if j.holds != nil {
		j.hold(entries)
	}
	return nil
}

func (j *journal) hold(entries []fleet.SOSEntry) {
	for i := range entries {
		j.holds[entries[i].ID] = true
	}
}

func (j *journal) open() error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		return errors.Join(err, file.Close())
	}
	j.file = file
	return nil
}

func (j *journal) lines(entries []fleet.SOSEntry) ([]byte, error) {
	var lines []byte
	for i := range entries {
		plain, err := json.Marshal(&entries[i])
		if err != nil {
			return nil, err
		}
		lines = append(base64.StdEncoding.AppendEncode(lines, j.sealer.Seal(plain, journalPurpose)), '\n')
	}
	return lines, nil
}

// read returns what the journal holds, and how many lines of it cannot be read: of
// one that a crash has cut, nobody was told that it is there.
func (j *journal) read() (entries []fleet.SOSEntry, damaged int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		e, err := j.parse(line)
		if err != nil {
			damaged++
			continue
		}
		entries = append(entries, e)
	}
	j.holds = make(map[fleet.SOSEntryID]bool, len(entries))
	j.hold(entries)
	return entries, damaged, nil
}

func (j *journal) parse(line []byte) (e fleet.SOSEntry, err error) {
	sealed, err := base64.StdEncoding.AppendDecode(nil, line)
	if err != nil {
		return e, err
	}
	plain, err := j.sealer.Unseal(sealed, journalPurpose)
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(plain, &e)
}

// keep makes the journal hold just these entries: all others are in the database, and
// of what is over.
// The caller adds nothing meanwhile.
func (j *journal) keep(entries []fleet.SOSEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holds != nil && len(entries) == len(j.holds) && !slices.ContainsFunc(entries, func(e fleet.SOSEntry) bool { return !j.holds[e.ID] }) {
		return nil
	}
	lines, err := j.lines(entries)
	if err != nil {
		return err
	}
	if err := replaceFile(j.path, lines); err != nil {
		return err
	}
	if j.file != nil { // it is the old one's
		_ = j.file.Close() // all of it is in the database, or in the new one
		j.file = nil
	}
	j.holds = make(map[fleet.SOSEntryID]bool, len(entries))
	j.hold(entries)
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var failed []error
	for _, file := range []*os.File{j.file, j.locked} {
		if file != nil {
			failed = append(failed, file.Close())
		}
	}
	j.file, j.locked = nil, nil
	return errors.Join(failed...)
}

// setAside renames a journal of which some cannot be read, so that nothing of it is
// ever overwritten.
func (j *journal) setAside(as string) error { return os.Rename(j.path, j.path+"."+as) }

// lock keeps other hubs off the folder: one would empty the journal of the other. It
// ends with the process, however that ends. It returns whose the folder is, the same
// after every start.
func (j *journal) lock() (hub fleet.HubID, err error) {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return hub, err
	}
	file, err := os.OpenFile(j.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return hub, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close() // it was not used
		return hub, &fleet.Error{Code: fleet.CodeConflict, Message: "another hub uses this data folder: give each one its own with --data-dir", Err: err}
	}
	j.locked = file
	if n, err := file.ReadAt(hub[:], 0); n == len(hub) {
		return hub, nil
	} else if !errors.Is(err, io.EOF) {
		return hub, err
	}
	hub = fleet.HubID(fleet.NewID[journal]())
	_, err = file.WriteAt(hub[:], 0)
	return hub, err
}

// replaceFile puts content in the place of a file: whoever reads it, also after a
// crash, finds the old or the new, whole.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // it has been renamed, or a draft left behind does no harm
	_, err = draft.Write(content)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
