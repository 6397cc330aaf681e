package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"armora/broker"
	"armora/fleet"
)

// sinkCommand runs the hub's front door with nothing behind it: the broker
// itself, which lets every device in and acknowledges what it throws away. It
// shows what is left to the database of a machine that receives the same load.
type sinkCommand struct{}

// sinkRhythm is how long an acknowledgement waits for others of its connection,
// as it waits for a commit in the hub.
const sinkRhythm = 10 * time.Millisecond

// Run implements the command.
func (c *sinkCommand) Run(ctx context.Context, to console) error {
	var receiver sinkReceiver
	door, err := broker.New(broker.Config{
		TCPAddr: "127.0.0.1:0",
		Auth:    sinkAuth{}, Sessions: sinkSessions{}, Outbox: sinkOutbox{},
		Routes: []broker.Route{{Template: "v1/devices/{device}/points", Receiver: &receiver}},
		Clock:  fleet.SystemClock{},
	})
	if err != nil {
		return err
	}
	if err := door.Open(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(to.out, door.TCPAddr())
	if err == nil {
		receiver.run(ctx)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, door.Close(closing))
}

// sinkReceiver acknowledges, a moment later, what it throws away.
type sinkReceiver struct {
	mu  sync.Mutex
	due []*broker.Ack
}

// Receive implements broker.Receiver.
func (r *sinkReceiver) Receive(m broker.Message) {
	m.Ack.Resolve(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = append(r.due, m.Ack)
}

// run writes the acknowledgements until ctx ends.
func (r *sinkReceiver) run(ctx context.Context) {
	tick := time.NewTicker(sinkRhythm)
	defer tick.Stop()
	var spare []*broker.Ack
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		due := r.due
		r.due = spare[:0]
		r.mu.Unlock()
		for _, ack := range due { // the first of a connection writes all of its
			ack.Flush()
		}
		clear(due)
		spare = due
	}
}

type sinkAuth struct{}

func (sinkAuth) Authenticate(_ context.Context, login fleet.Login) (fleet.Identity, error) {
	device, err := fleet.ParseID[fleet.Device](login.Username)
	if err != nil {
		return fleet.Identity{}, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "the user name is no device's", Err: err}
	}
	return fleet.Identity{Device: device, Kind: fleet.Phone}, nil
}

type sinkSessions struct{}

func (sinkSessions) Load(context.Context) ([]fleet.Session, error) { return nil, nil }
func (sinkSessions) Save(context.Context, fleet.Session) error     { return nil }
func (sinkSessions) Delete(context.Context, string) error          { return nil }

type sinkOutbox struct{}

func (sinkOutbox) Pending(context.Context, fleet.DeviceID, int64, int) ([]fleet.Command, error) {
	return nil, nil
}
func (sinkOutbox) Acknowledge(context.Context, fleet.DeviceID, int64) error { return nil }
