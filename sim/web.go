package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// SignIn gives the access token of one person, who has proved who they are.
type SignIn func(ctx context.Context) (access string, err error)

// web speaks to the hub's API as the app of one person does. It is safe for
// concurrent use.
type web struct {
	base   string // http://host:port
	client *http.Client
	signIn SignIn

	mu     sync.Mutex
	access string // "": not signed in
}

// problem is what the hub answers when it did not do what it was asked.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	retry time.Duration
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// refusedAs reports whether the hub's answer was a problem with this status.
func refusedAs(err error, status int) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.Status == status
}

// webTries is how often an app tries when the hub is away, or asks it to wait.
const webTries = 5

// do makes a request, and reads the answer into into, unless that is nil. It signs
// in when the token is not good any more, and tries again when the hub is away:
// with the same key, so that nothing is made twice.
func (w *web) do(ctx context.Context, method, path, key string, body, into any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return err
		}
	}
	var err error
	for try := range webTries {
		if err = w.try(ctx, method, path, key, payload, into); err == nil {
			return nil
		}
		wait := time.Second << try
		if p, ok := errors.AsType[*problem](err); ok {
			switch {
			case p.Status == http.StatusUnauthorized:
				wait = 0
			case p.Status != http.StatusTooManyRequests && p.Status < 500:
				return err
			case p.retry > 0:
				wait = p.retry
			}
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
	return err
}

func (w *web) try(ctx context.Context, method, path, key string, payload []byte, into any) error {
	access, err := w.token(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+access)
	if payload != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode >= 400 {
		if answer.StatusCode == http.StatusUnauthorized {
			w.forget(access)
		}
		p := &problem{}
		_ = json.Unmarshal(text, p) // a proxy's answer says nothing
		p.Status = answer.StatusCode
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
			p.retry = time.Duration(seconds) * time.Second
		}
		return p
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (w *web) token(ctx context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.access == "" {
		access, err := w.signIn(ctx)
		if err != nil {
			return "", fmt.Errorf("sign in: %w", err)
		}
		w.access = access
	}
	return w.access, nil
}

// forget makes the next request sign in, unless another has already.
func (w *web) forget(access string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.access == access {
		w.access = ""
	}
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
