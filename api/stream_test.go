package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// streaming returns a second server with one route that streams what produce
// writes.
func streaming(t *testing.T, limit time.Duration, produce func(context.Context, io.Writer) error) (*hub, string) {
	t.Helper()
	h := newHub(t)
	cfg := h.cfg
	cfg.ExportLimit = limit
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	route(s, anyone(), huma.Operation{Method: http.MethodGet, Path: "/stream"},
		func(context.Context, *struct{}) (*huma.StreamResponse, error) {
			return s.stream("text/plain", "x.txt", produce)
		})
	s.stall = time.Second
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h2 := &hub{Server: s, t: t, url: "http://" + s.Addr().String()}
	t.Cleanup(h2.stop)
	return h2, h2.url + "/stream"
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

var errMidway = errors.New("the database went away")

// fill writes more than the buffer holds.
func fill(w io.Writer) error {
	_, err := io.WriteString(w, strings.Repeat("x", 3*exportBuffer))
	return err
}

// On Fiber's own stream writer both of these end as if they were complete, and
// the second ends the process.
func TestStreamThatFailsMidwayIsCutOff(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errMidway },
		"panic": func() error { panic("s3cr3t") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := streaming(t, time.Minute, func(_ context.Context, w io.Writer) error {
				if err := fill(w); err != nil {
					return err
				}
				return fail()
			})
			resp := get(t, url)
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("status %d, %d bytes, %v; want an aborted body", resp.StatusCode, len(body), err)
			}
			if strings.Contains(string(body), "s3cr3t") {
				t.Error("the client sees the panic")
			}
		})
	}
}

func TestStreamThatFailsAtOnceHasAStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail   func() error
		status int
		code   fleet.Code
	}{
		"away":  {func() error { return &fleet.Error{Code: fleet.CodeUnavailable, Message: "away"} }, 503, fleet.CodeUnavailable},
		"error": {func() error { return errMidway }, 500, fleet.CodeInternal},
		"panic": {func() error { panic("s3cr3t") }, 500, fleet.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, url := streaming(t, time.Minute, func(_ context.Context, w io.Writer) error {
				if _, err := io.WriteString(w, "the head"); err != nil {
					return err
				}
				return c.fail()
			})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			problem(t, h.send(r), c.status, c.code)
		})
	}
}

func TestStreamEndsAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	_, url := streaming(t, time.Second, func(ctx context.Context, w io.Writer) error {
		if err := fill(w); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if _, err := io.ReadAll(get(t, url).Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an aborted body", err)
	}
}

// The first piece reaches the client while the rest is not yet made: nothing
// keeps the whole answer in memory.
func TestStreamFlowsWhileItIsMade(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, url := streaming(t, time.Minute, func(_ context.Context, w io.Writer) error {
		if err := fill(w); err != nil {
			return err
		}
		<-release
		_, err := io.WriteString(w, "end")
		return err
	})
	resp := get(t, url)
	first := make([]byte, exportBuffer)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	close(release)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(rest), "end") || len(rest) != 2*exportBuffer+3 {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
	if resp.Header.Get("Content-Disposition") != "attachment; filename=x.txt" {
		t.Errorf("headers %v", resp.Header)
	}
}

// A client that leaves, and one that stays and reads nothing, end the producer.
func TestStreamEndsWhenNobodyReadsIt(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"leaves": true, "stalls": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			h, _ := streaming(t, time.Hour, func(_ context.Context, w io.Writer) (err error) {
				defer func() { ended <- err }()
				for err == nil {
					err = fill(w)
				}
				return err
			})
			conn := dial(t, h.Server)
			if _, err := fmt.Fprint(conn, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if leaves {
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the producer ended with %v", err)
			}
		})
	}
}

// A stream leaves its connection as good as any other answer.
func TestConnectionIsGoodAfterAStream(t *testing.T) {
	t.Parallel()
	h, url := streaming(t, time.Minute, func(_ context.Context, w io.Writer) error { return fill(w) })
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for range 3 {
		for _, target := range []string{url, h.url + "/healthz"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Close {
				t.Errorf("%s: %v, closed %v", target, err, resp.Close)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
