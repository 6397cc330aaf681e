package account

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"armora/fleet"
)

// erasureJournal is a file that says who was erased and when, by ids alone, a line
// of JSON each. It lies outside the database, so that a database that was restored
// from before an erasure does not bring the person back. It is appended to; of a
// line that a crash has cut, nobody was told that it is there.
type erasureJournal struct {
	path string
	mu   sync.Mutex
}

type journalLine struct {
	Erasure fleet.ErasureID `json:"erasure"`
	User    fleet.UserID    `json:"user"`
	Asked   time.Time       `json:"asked"`
}

// add appends an erasure. When it returns, it is on disk.
func (j *erasureJournal) add(e fleet.Erasure) error {
	line, err := json.Marshal(journalLine{Erasure: e.ID, User: e.User, Asked: e.Asked.UTC()})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// It begins on a line of its own, also behind one that was cut.
	_, err = file.Write(append(append([]byte("\n"), line...), '\n'))
	return errors.Join(err, file.Sync(), file.Close(), syncDir(filepath.Dir(j.path)))
}

// read returns what the journal holds. What is no line of it is passed over.
func (j *erasureJournal) read() ([]fleet.Erasure, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []fleet.Erasure
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var l journalLine
		if json.Unmarshal(lines.Bytes(), &l) == nil && !l.Erasure.IsZero() && !l.User.IsZero() {
			list = append(list, fleet.Erasure{ID: l.Erasure, User: l.User, Asked: l.Asked})
		}
	}
	return list, nil
}
