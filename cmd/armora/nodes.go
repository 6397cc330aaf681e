package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

const (
	newsQueue   = 1024            // what waits to be told; more is not told
	newsTimeout = 5 * time.Second // for one telling
	newsRetry   = time.Second     // between two tries to listen, or to tell
	newsLost    = time.Minute     // how long it may take to find out that nothing is heard, and more
)

// openNodes connects the bus with those of the hubs that share the database, so that
// what ends on one ends on all of them, and what changes is read anew. Whoever could not
// hear, since the database was away, reads what they have missed once they can; account
// remembers for no more than 30 s, and trips are read as often. What has ended has half
// of the queue to itself.
func (h *hub) openNodes(ctx, background context.Context) error {
	news, queue := schema.News{DB: h.db}, make(chan bus.News, newsQueue)
	nodes := bus.Connect(&h.bus, func(n bus.News) {
		if !n.Ends() && len(queue) >= newsQueue/2 {
			return
		}
		select {
		case queue <- n:
		default:
			h.log.Warn("other hubs are not told what has ended: too much waits to be told")
		}
	})
	background, stop := context.WithCancel(background)
	var running sync.WaitGroup
	h.onClose("news between hubs", func(context.Context) error {
		nodes.Leave()
		stop()
		running.Wait()
		return nil
	})
	running.Go(func() { h.tellNodes(background, news.Tell, queue) })
	listens := make(chan struct{}, 1)
	running.Go(func() { h.hearNodes(background, news, nodes, listens) })
	select {
	case <-listens: // or the first try has failed
	case <-ctx.Done():
	}
	return nil
}

// tellNodes tells what comes until ctx ends. What has ended is told until it is heard:
// the others may hear all the while that this hub cannot speak.
func (h *hub) tellNodes(ctx context.Context, tell func(context.Context, string) error, queue <-chan bus.News) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-queue:
			for h.tellNews(ctx, tell, &n) != nil && n.Ends() && fleet.Wait(ctx, h.clock, newsRetry) == nil {
			}
		}
	}
}

func (h *hub) tellNews(ctx context.Context, tell func(context.Context, string) error, n *bus.News) error {
	text, err := json.Marshal(n)
	if err == nil {
		try, cancel := context.WithTimeout(ctx, newsTimeout)
		err = tell(try, string(text))
		cancel()
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("other hubs could not be told what has ended or changed", "error", err)
	}
	return err
}

// hearNodes listens until ctx ends, and leaves a token on tried once it does, or cannot.
// When it listens again it finds out what it has missed: nobody else looks whether a
// phone's connection may go on.
func (h *hub) hearNodes(ctx context.Context, news schema.News, nodes *bus.Nodes, tried chan<- struct{}) {
	once := sync.OnceFunc(func() { tried <- struct{}{} })
	heard := h.clock.Now() // until when nothing was missed
	for ctx.Err() == nil {
		listening, stop := context.WithCancel(ctx)
		whole := false // nothing is missing
		err := news.Listen(listening, func() {
			err := h.catchUp(ctx, news, nodes, heard)
			if whole = err == nil; !whole {
				h.log.Warn("what other hubs have told meanwhile could not be read, it is tried again in a second", "error", err)
				stop()
			}
			once()
		}, func(text string) {
			var n bus.News
			if err := json.Unmarshal([]byte(text), &n); err != nil {
				h.log.Warn("another hub tells what this one does not understand", "error", err)
				return
			}
			nodes.Hear(n)
		})
		if whole {
			heard = h.clock.Now().Add(-newsLost)
		}
		stop()
		once()
		if ctx.Err() != nil {
			return
		}
		h.log.Warn("what other hubs tell is not heard, it is tried again in a second", "error", err)
		_ = fleet.Wait(ctx, h.clock, newsRetry) // if ctx has ended, so has the loop
	}
}

// catchUp publishes what was told since a time.
func (h *hub) catchUp(ctx context.Context, news schema.News, nodes *bus.Nodes, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, newsTimeout)
	defer cancel()
	missed, err := news.Missed(ctx, since)
	for _, m := range missed {
		nodes.Hear(bus.News{
			Session: m.Session, Account: m.Account, Share: m.Share, Partner: m.Partner,
			Revocation: bus.Revocation{Device: m.Device, Credential: m.Credential}, Device: m.Outbox,
		})
	}
	return err
}
