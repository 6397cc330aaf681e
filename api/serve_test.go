package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(idle{m},
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), // the process's, for ever
		// What looks after idle workers sees only each 10 s that its server has ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// idle are tests that let go of kept connections once they have run, before goleak
// looks: what is left then has leaked, and fails the run.
type idle struct{ *testing.M }

func (m idle) Run() int {
	code := m.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

func TestTakenPortIsOneClearError(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.cfg
	cfg.Addr = h.Addr().String()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is taken") || !strings.Contains(err.Error(), cfg.Addr) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close what did not open: %v", err)
	}
	if err := h.Open(t.Context()); err == nil {
		t.Error("it opens twice")
	}
}

// blocking returns a server with a route that is answered when release is
// closed, and whose requests show up on arrived.
func blocking(t *testing.T) (s *Server, arrived, release chan struct{}) {
	t.Helper()
	h := newHub(t)
	s, err := New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	arrived, release = make(chan struct{}, 1), make(chan struct{})
	route(s, anyone(), huma.Operation{Method: http.MethodGet, Path: "/slow"},
		func(context.Context, *struct{}) (*healthOutput, error) {
			arrived <- struct{}{}
			<-release
			return &healthOutput{}, nil
		})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, arrived, release
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Fiber's own shutdown waits for ever on the connection that is silent.
func TestCloseFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s, arrived, release := blocking(t)
	dial(t, s) // and says nothing
	slow := dial(t, s)
	if _, err := fmt.Fprint(slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	<-s.serving.ended // it accepts no more
	close(release)
	answer, err := io.ReadAll(slow)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("%q, %v", answer, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func TestCloseCutsOffAtItsDeadline(t *testing.T) {
	t.Parallel()
	s, arrived, release := blocking(t)
	conn := dial(t, s)
	if _, err := fmt.Fprint(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if answer, err := io.ReadAll(conn); len(answer) != 0 {
		t.Errorf("%q, %v", answer, err)
	}
	close(release)
}

func TestCloseEndsAnExport(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	h, url := streaming(t, time.Hour, func(ctx context.Context, w io.Writer) error {
		if err := fill(w); err != nil {
			return err
		}
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	body := get(t, url).Body
	if _, err := io.CopyN(io.Discard, body, exportBuffer); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, body) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}
