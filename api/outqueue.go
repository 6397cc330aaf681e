package api

import "sync"

// Bounds of what waits for one client. A client that reads too slowly for them
// costs no more memory, and nobody but itself is disturbed.
const (
	queueMessages = 512
	queueBytes    = 512 << 10
)

// outqueue is what waits to be sent to a client: every message that was put without
// a key, in order, and of those with the same key the newest alone, in the place of
// the oldest. It is safe for concurrent use; one goroutine takes.
type outqueue struct {
	ready chan struct{} // holds a token when there may be something to take

	mu     sync.Mutex
	first  int // of waiting, that has not been taken
	wait   []*outgoing
	latest map[string]*outgoing // by key, those that wait
	bytes  int
	closed bool
}

type outgoing struct {
	key  string
	data []byte // shared by all who are sent it: never changed
}

func (q *outqueue) init() {
	q.ready, q.latest = make(chan struct{}, 1), make(map[string]*outgoing)
}

// put adds a message. It reports false when that would be more than may wait, and
// then has not added it. A closed queue takes everything and keeps nothing.
func (q *outqueue) put(key string, data []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return true
	}
	if older := q.latest[key]; older != nil && key != "" {
		q.bytes += len(data) - len(older.data)
		older.data = data
		return true
	}
	if len(q.wait)-q.first >= queueMessages || q.bytes+len(data) > queueBytes {
		return key != "" // what is replaced by the next anyhow is dropped
	}
	if q.first >= queueMessages { // a reader that is never quite done leaves no room in front
		n := copy(q.wait, q.wait[q.first:])
		clear(q.wait[n:])
		q.wait, q.first = q.wait[:n], 0
	}
	m := &outgoing{key, data}
	q.wait, q.bytes = append(q.wait, m), q.bytes+len(data)
	if key != "" {
		q.latest[key] = m
	}
	select {
	case q.ready <- struct{}{}:
	default: // it is known
	}
	return true
}

// take returns the message that has waited longest.
func (q *outqueue) take() (data []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == len(q.wait) {
		q.wait, q.first = q.wait[:0], 0
		return nil, false
	}
	m := q.wait[q.first]
	q.wait[q.first] = nil
	q.first++
	q.bytes -= len(m.data)
	if m.key != "" {
		delete(q.latest, m.key)
	}
	return m.data, true
}

// close drops what waits, if it is not wanted any more, and lets nothing more in.
func (q *outqueue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		q.wait, q.first, q.bytes = nil, 0, 0
		clear(q.latest)
	}
}
