package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// How officers behave.
const (
	acceptShare  = 0.85 // of the offers; some of the rest get no answer at all
	silentShare  = 0.05
	greetFor     = 20 * time.Second // at the least, from the door to the car
	stayFor      = 30 * time.Second // at the least, at the destination
	codePatience = 15 * time.Minute
)

// app is what an officer has on their phone beside the GPS: it hears offers,
// answers them as people do, and tells how far the trip has come.
type app struct {
	*web
	driver  string
	officer *Officer
	phone   *client
	codes   *codes
	tally   *tripTally
	log     func(msg string, err error)

	ctx  context.Context // ends what the app does; set before the phone opens
	busy chan struct{}   // holds a token while the officer is on a trip

	mu      sync.Mutex
	random  *rand.Rand // guarded by mu
	over    bool       // nothing more is begun; guarded by mu
	running sync.WaitGroup
}

// start does something beside, unless it is over.
func (a *app) start(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.running.Go(do)
	}
}

// finish waits for what was started, and lets nothing more begin. The context has
// ended.
func (a *app) finish() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.running.Wait()
}

// topic is where the hub tells the officer of work.
func (a *app) topic() string { return "v1/drivers/" + a.driver + "/offers" }

// officerMessage is one message of the hub to an officer.
type officerMessage struct {
	Kind    string          `json:"kind"`
	Body    json.RawMessage `json:"body"`
	Expires time.Time       `json:"expires_at"`
}

// received takes what the hub tells the officer. It does not block.
func (a *app) received(payload []byte) {
	ctx := a.ctx
	var m officerMessage
	var body struct {
		Offer   string `json:"offer_id"`
		Booking string `json:"booking_id"`
		Result  string `json:"result"`
	}
	if err := errors.Join(json.Unmarshal(payload, &m), json.Unmarshal(m.Body, &body)); err != nil {
		a.log("an officer was told what is not JSON", err)
		return
	}
	if ctx.Err() != nil || time.Now().After(m.Expires) {
		return
	}
	switch m.Kind {
	case "offer":
		a.start(func() { a.consider(ctx, body.Offer) })
	case "offer_result":
		// Who lets several offers pass is taken off duty. They were in a dead spot.
		if body.Result == "expired" {
			a.phone.publish(&message{topic: "v1/drivers/" + a.driver + "/duty", payload: []byte(`{"duty":"on_duty"}`)})
		}
	case "assignment":
		a.start(func() { a.work(ctx, body.Booking) })
	}
}

// resume goes on with what the officer was doing when the simulation ended.
func (a *app) resume(ctx context.Context) {
	var past struct {
		Items []booking `json:"items"`
	}
	if err := a.do(ctx, http.MethodGet, "/api/bookings/history?limit=10", "", nil, &past); err != nil {
		if ctx.Err() == nil {
			a.log("an officer could not look up their work", err)
		}
		return
	}
	for _, b := range past.Items {
		if _, under := steps[b.Status]; under {
			a.work(ctx, b.ID)
		}
	}
}

// work does one assignment, when the one before is done.
func (a *app) work(ctx context.Context, id string) {
	select {
	case a.busy <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-a.busy }()
	defer a.officer.Release()
	if err := a.trip(ctx, id); err != nil && ctx.Err() == nil {
		a.tally.failed.Add(1)
		a.log("an officer's trip went wrong", err)
	}
}

// chance returns a share from 0 to 1, and a time to think or to do something in.
func (a *app) chance() (share float64, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.random.Float64(), time.Duration((2 + 8*a.random.Float64()) * float64(time.Second))
}

// consider answers an offer after a while, or lets it pass.
func (a *app) consider(ctx context.Context, offer string) {
	share, took := a.chance()
	if share > 1-silentShare || !pause(ctx, took) {
		return
	}
	reply := map[string]any{"offer_id": offer, "accept": share < acceptShare}
	if share >= acceptShare {
		reply["reason"] = "too far"
	}
	payload, err := json.Marshal(reply)
	if err != nil {
		panic(err) // a map of strings and a bool
	}
	a.phone.publish(&message{topic: "v1/drivers/" + a.driver + "/replies", payload: payload})
}

// errOver is that a trip was ended by somebody else.
var errOver = errors.New("the trip is over")

// steps are which step of a trip comes next, by the status of its booking.
var steps = map[string]int{"assigned": 0, "en_route": 1, "arrived": 3, "in_progress": 4}

// trip drives an assignment: to the principal, with them to the destination, and
// says so at each step.
func (a *app) trip(ctx context.Context, id string) error {
	var b booking
	if err := a.look(ctx, id, &b); err != nil {
		return ignoreOver(err)
	}
	if b.Destination == nil {
		return fmt.Errorf("booking %s: it does not say where to", id)
	}
	todo := []func() error{
		func() error { return a.tap(ctx, id, "en-route", nil) },
		func() error { return a.drive(ctx, id, b.Pickup.position()) },
		func() error { return a.tap(ctx, id, "arrive", nil) },
		func() error { return a.begin(ctx, id) },
		func() error { return a.drive(ctx, id, b.Destination.position()) },
		func() error { return a.spend(ctx, stayFor) },
		func() error { return a.tap(ctx, id, "complete", nil) },
	}
	for _, step := range todo[steps[b.Status]:] {
		if err := step(); err != nil {
			return ignoreOver(err)
		}
	}
	a.tally.driven.Add(1)
	return nil
}

func ignoreOver(err error) error {
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

// look reads the booking: errOver when the officer has nothing to do with it any
// more.
func (a *app) look(ctx context.Context, id string, b *booking) error {
	err := a.do(ctx, http.MethodGet, "/api/bookings/"+id, "", nil, b)
	gone := b.ended() || b.Status == "searching" || b.Status == "offered" || b.Pickup == nil // somebody else has it
	if refusedAs(err, http.StatusNotFound) || err == nil && gone {
		return errOver
	}
	return err
}

// tap tells the hub that something has happened. What does not fit the trip any
// more is the end of it.
func (a *app) tap(ctx context.Context, id, what string, with map[string]any) error {
	command := map[string]any{"id": newUUID(), "occurred_at": time.Now().UTC()}
	for k, v := range with {
		command[k] = v
	}
	err := a.do(ctx, http.MethodPost, "/api/bookings/"+id+"/"+what, "", command, nil)
	switch {
	case refusedAs(err, http.StatusConflict), refusedAs(err, http.StatusNotFound):
		return errOver
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// begin meets the principal, who shows the start code.
func (a *app) begin(ctx context.Context, id string) error {
	if err := a.spend(ctx, greetFor); err != nil {
		return err
	}
	code, ok := a.codes.wait(ctx, id, codePatience)
	if !ok {
		return a.tap(ctx, id, "no-show", nil)
	}
	return a.tap(ctx, id, "start", map[string]any{"code": code})
}

// drive goes to a place, and looks now and then whether the trip is still on.
func (a *app) drive(ctx context.Context, id string, to Position) error {
	there := a.officer.Send(to)
	look := time.NewTicker(5 * pollEvery)
	defer look.Stop()
	for {
		select {
		case <-there:
			return nil
		case <-look.C:
			if err := a.look(ctx, id, &booking{}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// spend passes some time, at least this long.
func (a *app) spend(ctx context.Context, least time.Duration) error {
	_, more := a.chance()
	if !pause(ctx, least+more) {
		return ctx.Err()
	}
	return nil
}

// codes are the start codes that principals show to officers when they meet.
type codes struct {
	mu    sync.Mutex
	shown map[string]chan string // by booking; holds the code
}

func newCodes() *codes { return &codes{shown: make(map[string]chan string)} }

func (c *codes) of(booking string) chan string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shown[booking] == nil {
		c.shown[booking] = make(chan string, 1)
	}
	return c.shown[booking]
}

func (c *codes) show(booking, code string) {
	select {
	case c.of(booking) <- code:
	default: // it has been shown
	}
}

// wait returns the code of a booking once its principal shows it.
func (c *codes) wait(ctx context.Context, booking string, patience time.Duration) (code string, ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case code := <-c.of(booking):
		return code, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return "", false
}

func (c *codes) forget(booking string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.shown, booking)
}
