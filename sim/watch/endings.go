package watch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Endings opens everybody's WebSocket, has each token ended, one after the other, and
// says how long it took from when that was asked for until the hub had closed what the
// token had opened. Published counts the tokens, Told what was closed.
func Endings(ctx context.Context, watchers []Watcher, end func(ctx context.Context, token string) error) (Result, error) {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	opened, slots := make(chan error, len(watchers)), make(chan struct{}, 32)
	sockets, closed := make(map[string]int), make(map[string]chan time.Time)
	for _, w := range watchers {
		if closed[w.Token] == nil {
			closed[w.Token] = make(chan time.Time, len(watchers))
		}
		sockets[w.Token]++
		watching.Go(func() { await(ctx, w, slots, opened, closed[w.Token]) })
	}
	for range watchers {
		if err := <-opened; err != nil {
			return Result{}, err
		}
	}
	r := new(run)
	for token, open := range sockets {
		asked := time.Now()
		if err := end(ctx, token); err != nil {
			return Result{}, err
		}
		r.count.Add(1)
		for range open {
			select {
			case at := <-closed[token]:
				r.delay = append(r.delay, float64(at.Sub(asked).Nanoseconds())/1e6)
			case <-time.After(patience):
				return Result{}, errors.New("a WebSocket outlives the token that opened it")
			}
		}
	}
	return r.result(), nil
}

// await opens a watcher, says so, and tells when the hub has closed it.
func await(ctx context.Context, w Watcher, slots chan struct{}, opened chan<- error, closed chan<- time.Time) {
	slots <- struct{}{}
	next, done, err := dial(ctx, "", w)
	<-slots
	opened <- err
	if err != nil {
		return
	}
	defer done()
	stop := context.AfterFunc(ctx, done)
	defer stop()
	for err == nil {
		_, err = next()
	}
	closed <- time.Now()
}
