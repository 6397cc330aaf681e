package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"armora/sim/wire"
)

// Happening is what became of a point, as its sender knows it.
type Happening string

// The happenings. Every point is handed first; then at most one of the others
// follows, and none when the simulation stopped before the hub's answer.
const (
	Handed       Happening = "handed"       // given to the MQTT client library
	Acknowledged Happening = "acknowledged" // the hub's PUBACK arrived
	Rejected     Happening = "rejected"     // the hub's PUBACK said no
	Lost         Happening = "lost"         // the hub had lost the session, so the library threw it away
	Refused      Happening = "refused"      // the device's own outbox was full
)

// Entry is one line of a sender's log: a point by its identity (device, fix
// time, position) and what happened to it.
type Entry struct {
	Happening Happening `json:"event"`
	Device    string    `json:"device"`
	Fix       int64     `json:"fix"` // Unix milliseconds
	Lat       int32     `json:"lat"` // 1e-7 degrees
	Lon       int32     `json:"lon"` // 1e-7 degrees
}

// Log is a sender's own record of what it sent and what was acknowledged, to
// be compared with what the hub has stored. A nil *Log records nothing. It is
// safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	lines   *bufio.Writer // nil: entries are kept in memory
	err     error         // the first failure to write
}

// NewLog returns a log that keeps its entries in memory.
func NewLog() *Log { return &Log{} }

// NewLogWriter returns a log that writes each entry to w as a line of JSON.
// The caller flushes it before closing w.
func NewLogWriter(w io.Writer) *Log { return &Log{lines: bufio.NewWriter(w)} }

// Entries returns what happened so far, in order; nothing for a log that
// writes.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Entry(nil), l.entries...)
}

// Flush writes out what is buffered. It returns the first error that the log
// met since it was made.
func (l *Log) Flush() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines != nil {
		l.err = errors.Join(l.err, l.lines.Flush())
	}
	return l.err
}

func (l *Log) add(what Happening, device string, points []wire.Point) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range points {
		p := &points[i]
		entry := Entry{Happening: what, Device: device, Fix: p.Fix, Lat: p.Lat, Lon: p.Lon}
		if l.lines == nil {
			l.entries = append(l.entries, entry)
			continue
		}
		if err := json.NewEncoder(l.lines).Encode(entry); err != nil && l.err == nil {
			l.err = err
		}
	}
}

// ReadLog reads the lines that a log wrote. A last line that was cut off, as a
// killed process leaves it, is ignored.
func ReadLog(r io.Reader) ([]Entry, error) {
	var entries []Entry
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		var entry Entry
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&entry); err != nil {
			return nil, fmt.Errorf("sim: log line %d: %w", n, err)
		}
		entries = append(entries, entry)
	}
}
