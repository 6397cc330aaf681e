// Package safety sees to emergencies. An SOS is on this machine's disk before it is
// answered, whether the database is there or not, and the same way is taken either
// way: what happens is an entry of a timeline, which is written to a journal in the
// data folder and applied in memory; from memory people are told at once, and the
// entries are stored in the database as soon as that takes them.
//
// A hub that was killed reads its journal when it starts. Storing is idempotent on
// the entries' ids, and what was sent is known by the notices' ids, which follow
// from what they are about: nothing is lost, and what is done twice is seen to be.
package safety

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// Config is what a Watch is made of. All but Known and Metrics is required.
type Config struct {
	DB     *schema.DB
	Sealer Sealer
	Dir    string // where the journal and the snapshot lie

	// Send sends a notice at once, without the database; notify.Sender.Direct is it.
	Send func(ctx context.Context, n fleet.Notice, data map[string]string, apps ...schema.SealedPushToken) (fleet.NoticeState, error)
	// Contact opens a contact; account.EmergencyContacts.Open is it.
	Contact func(schema.SealedContact) (fleet.Contact, error)
	// Command sends a command to a device; account.Commands.Send is it.
	Command func(ctx context.Context, device fleet.DeviceID, kind string, body json.RawMessage, life time.Duration) (fleet.Command, error)
	// Code hashes a code of a user's as it is stored.
	Code func(user fleet.UserID, code string) []byte
	// Known hears of each book that was read, from the database or the snapshot, before
	// it is used: who is let in while the database is away.
	Known func(*schema.SOSBook)

	Bus     *bus.Bus
	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Watch sees to emergencies. It is safe for concurrent use.
type Watch struct {
	cfg     Config
	clock   fleet.Clock
	log     *slog.Logger
	table   schema.SOSes
	journal journal
	book    atomic.Pointer[book]
	follows atomic.Pointer[map[fleet.UserID][]fleet.Spell] // whose phones are followed for an SOS; never changed
	opened  time.Time                                      // set by Open
	hub     fleet.HubID                                    // likewise

	mu        sync.Mutex
	all       map[fleet.SOSID]*fleet.SOS // of the last remembered, and all that are open
	kept      map[fleet.SOSID]bool       // of these, for which this hub calls people
	pending   []fleet.SOSEntry           // not in the database yet, in order
	unwritten []fleet.SOSEntry           // of these, what the journal did not take
	changed   []bus.SOSChange            // what the bus is yet to hear of
	tries     map[fleet.NoticeID]*try    // of what is being told

	away      bool          // the last entry could not be stored; keep's alone
	rereading sync.Mutex    // held from the reading of a book to its use
	store     chan struct{} // holds a token when there is something to store
	tell      chan struct{} // or somebody to tell
	reread    chan struct{} // or the book may have changed
	inbox     chan Message

	stop    context.CancelFunc
	running sync.WaitGroup
	leave   []func()
	closed  sync.Once
}

// remembered is for how long an SOS is answered from memory, and with it how late a
// press may come to be known for one that it has opened.
const remembered = 30 * 24 * time.Hour

// New returns a watch that nobody keeps yet.
func New(cfg Config) (*Watch, error) {
	if cfg.DB == nil || cfg.Sealer == nil || cfg.Dir == "" || cfg.Send == nil || cfg.Contact == nil || cfg.Command == nil ||
		cfg.Code == nil || cfg.Bus == nil || cfg.Clock == nil || cfg.Log == nil {
		return nil, errors.New("safety: Config lacks something")
	}
	w := &Watch{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, table: schema.SOSes{DB: cfg.DB},
		journal: journal{path: filepath.Join(cfg.Dir, "sos.journal"), sealer: cfg.Sealer},
		all:     make(map[fleet.SOSID]*fleet.SOS), kept: make(map[fleet.SOSID]bool), tries: make(map[fleet.NoticeID]*try),
		store: make(chan struct{}, 1), tell: make(chan struct{}, 1), reread: make(chan struct{}, 1), inbox: make(chan Message, inboxSize),
	}
	w.book.Store(newBook(&schema.SOSBook{}))
	if cfg.Metrics == nil {
		return w, nil
	}
	return w, w.register(cfg.Metrics)
}

func (w *Watch) register(metrics prometheus.Registerer) error {
	count := func(of func() int) func() float64 {
		return func() float64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return float64(of())
		}
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "armora_safety_sos_open", Help: "Emergencies that are open."}, count(func() (open int) {
			for _, s := range w.all {
				if !s.Over() {
					open++
				}
			}
			return open
		})),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "armora_safety_journal_entries", Help: "Entries of emergencies that the database does not have yet."},
			count(func() int { return len(w.pending) })),
	} {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("register the metrics of safety: %w", err)
		}
	}
	return nil
}

// Open reads what is in the journal and, if it is there, in the database, and keeps
// the watch from then on. Only a journal that cannot be read is an error.
func (w *Watch) Open(ctx context.Context) error {
	w.opened = w.now()
	hub, err := w.journal.lock()
	if err != nil {
		return err
	}
	w.hub = hub
	if err := w.readJournal(); err != nil {
		return fmt.Errorf("the journal of emergencies: %w", err)
	}
	if w.recall(ctx) {
		w.look(ctx) // before anybody is called: another hub may do that by now
	}
	w.openBook(ctx)
	background, stop := context.WithCancel(context.Background())
	w.stop = stop
	wake := func() { poke(w.reread) }
	w.leave = []func(){
		w.cfg.Bus.Accounts.Subscribe(func(fleet.UserID) { wake() }),
		w.cfg.Bus.Bookings.Subscribe(func(bus.BookingChange) { wake() }),
		w.cfg.Bus.Sessions.Subscribe(func(fleet.UserSessionID) { wake() }),
		w.cfg.Bus.Revocations.Subscribe(func(bus.Revocation) { wake() }),
		w.cfg.Bus.Spells.Subscribe(func(bus.Spells) { wake() }),
	}
	w.running.Go(func() { w.keep(background) })
	w.running.Go(func() { w.call(background) })
	w.running.Go(func() { w.learn(background) })
	w.running.Go(func() { w.read(background) })
	poke(w.store)
	poke(w.tell)
	return nil
}

// Close stops. What the database does not have is in the journal.
func (w *Watch) Close() {
	w.closed.Do(func() {
		for _, leave := range w.leave {
			leave()
		}
		if w.stop != nil {
			w.stop()
		}
		w.running.Wait()
		w.drop()
		if err := w.journal.close(); err != nil {
			w.log.Warn("the journal of emergencies did not close", "error", err)
		}
	})
}

// now is the time in whole microseconds, as the database keeps it.
func (w *Watch) now() time.Time { return w.clock.Now().UTC().Truncate(time.Microsecond) }

// poke leaves a token, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// readJournal takes over what a hub before this one has not stored.
func (w *Watch) readJournal() error {
	entries, damaged, err := w.journal.read()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		s := w.all[e.SOS]
		if s == nil {
			s = &fleet.SOS{ID: e.SOS}
			w.all[e.SOS] = s
		}
		if err := s.Apply(e); err != nil {
			return err
		}
		w.kept[e.SOS] = true
	}
	w.pending = entries
	w.refollow()
	if damaged > 0 {
		// The last line of a hub that was killed may be cut; more is somebody's doing, or
		// another secret key. Nothing of it is overwritten.
		as := fmt.Sprintf("damaged-%d", w.opened.Unix())
		w.log.Error("lines of the journal of emergencies cannot be read; it is set aside", "lines", damaged, "as", w.journal.path+"."+as)
		if err := w.journal.setAside(as); err != nil {
			return err
		}
		return w.journal.add(entries...)
	}
	return nil
}

// recall adds what the database has, if that is there.
func (w *Watch) recall(ctx context.Context) bool {
	known, err := w.table.Recent(ctx, w.now().Add(-remembered))
	if err != nil {
		w.log.Warn("emergencies cannot be read from the database", "error", err)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mergeAll(known)
	for id, s := range w.all {
		if raised, restored := rates(s); s.Over() && raised && !restored { // whoever was to do that did not
			w.kept[id] = true
		}
	}
	return true
}

// mergeAll takes over what the database has. w.mu is held.
func (w *Watch) mergeAll(stored []fleet.SOS) {
	for i := range stored {
		w.merge(&stored[i])
	}
	w.refollow()
}

// merge brings what is known in memory and what the database has together. w.mu is
// held.
func (w *Watch) merge(stored *fleet.SOS) {
	here := w.all[stored.ID]
	if here == nil {
		w.all[stored.ID] = stored
		return
	}
	// What is here and not there comes behind what is there.
	whole := *stored
	for _, e := range here.Timeline {
		if err := whole.Apply(e); err != nil {
			w.log.Error("an entry of an SOS cannot be applied", "sos", stored.ID, "entry", e.ID, "error", err)
		}
	}
	*here = whole
}

// write writes entries down and applies them. When it fails, they are in memory all
// the same, and everybody is told as if it had not: but who asked must not be told
// that it is safe. w.mu is held.
func (w *Watch) write(s *fleet.SOS, entries ...fleet.SOSEntry) error {
	for _, e := range entries {
		if err := s.Apply(e); err != nil {
			return err
		}
	}
	if _, known := w.all[s.ID]; !known || s.Over() { // who ends it asks phones for no more
		w.kept[s.ID] = true
	}
	w.all[s.ID] = s
	w.pending = append(w.pending, entries...)
	w.unwritten = append(w.unwritten, entries...)
	w.changed = append(w.changed, bus.SOSChange{ID: s.ID, User: s.User, Over: s.Over()})
	w.refollow()
	poke(w.store)
	poke(w.tell)
	return w.persist()
}

// persist writes what the journal did not take before. w.mu is held.
func (w *Watch) persist() error {
	if len(w.unwritten) == 0 {
		return nil
	}
	if err := w.journal.add(w.unwritten...); err != nil {
		w.log.Error("the journal of emergencies cannot be written", "error", err)
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the emergency is known, and cannot be written down: try again", Err: err}
	}
	w.unwritten = nil
	return nil
}

// refollow works out anew whose phones are followed. w.mu is held.
func (w *Watch) refollow() {
	follows := make(map[fleet.UserID][]fleet.Spell)
	for _, s := range w.all {
		if s.User.IsZero() {
			continue
		}
		spell := fleet.Spell{From: fleet.MillisOf(s.Received.Add(-followBefore))}
		if ended := s.Ended(); !ended.IsZero() {
			spell.To = fleet.MillisOf(ended)
		}
		follows[s.User] = append(follows[s.User], spell)
	}
	w.follows.Store(&follows)
}

// followBefore is how long before the hub heard of an SOS a position of its phone is
// kept: where they were when they pressed.
const followBefore = time.Minute

// Follows reports whether a person's phone is followed at a time because of an SOS of
// theirs, whatever their duty says.
func (w *Watch) Follows(user fleet.UserID, at fleet.Millis) bool {
	follows := w.follows.Load()
	if follows == nil || len(*follows) == 0 {
		return false
	}
	return slices.ContainsFunc((*follows)[user], func(s fleet.Spell) bool { return s.Holds(at) })
}

// entry makes an entry that is written now.
func (w *Watch) entry(s fleet.SOSID, kind fleet.SOSKind, by string) fleet.SOSEntry {
	return fleet.SOSEntry{ID: fleet.NewID[fleet.SOSEntry](), SOS: s, Kind: kind, At: w.now(), By: by}
}
