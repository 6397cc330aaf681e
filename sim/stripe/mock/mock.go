// Package mock runs stripe-mock, Stripe's own check of the shape of requests: it
// knows every parameter of the API and its type, and has no state. It is a tool,
// not a library: the go command builds it, pinned, and it runs beside the tests.
package mock

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool is what is run.
const Tool = "github.com/stripe/stripe-mock@v0.183.0"

// Mock is stripe-mock, running.
type Mock struct {
	URL     string
	process *exec.Cmd
}

// Start builds stripe-mock, if it was not built before, and starts it on ports that
// the system chooses. It has to be told of an address for HTTPS too: else it takes
// a fixed one.
func Start(ctx context.Context) (*Mock, error) {
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	m := &Mock{process: exec.Command(program, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")} //nolint:noctx // it outlives ctx: Close ends it
	out, err := m.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.process.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
			m.URL = "http://" + at
			go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
			return m, nil
		}
	}
	m.Close()
	return nil, errors.New("stripe-mock has ended before it listened")
}

// Close ends it.
func (m *Mock) Close() {
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
}

func build(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(Tool, "@")
	folder := filepath.Join(cache, "armora", "stripe-mock-"+version)
	program := filepath.Join(folder, "stripe-mock")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	// Into a folder of its own first: two packages' tests may do this at once.
	own, err := os.MkdirTemp(folder, "build")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(own) }()
	install := exec.CommandContext(ctx, "go", "install", Tool)
	install.Env = append(os.Environ(), "GOBIN="+own, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w: %s", Tool, err, out)
	}
	return program, os.Rename(filepath.Join(own, "stripe-mock"), program)
}

// Watch shows each request under a secret key to stripe-mock before next answers
// it, and calls complain when it has the wrong shape.
func (m *Mock) Watch(next http.Handler, complain func(string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			complain(err.Error())
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer sk_") {
			if err := m.check(r, body); err != nil {
				complain(err.Error())
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Mock) check(r *http.Request, body []byte) error {
	shown, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, m.URL+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	for _, name := range []string{"Authorization", "Content-Type", "Stripe-Version"} {
		shown.Header.Set(name, r.Header.Get(name))
	}
	reply, err := http.DefaultClient.Do(shown)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	answer, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode == http.StatusOK {
		return err
	}
	return fmt.Errorf("%s %s?%s: %s: %s", r.Method, r.URL.Path, body, reply.Status, answer)
}
