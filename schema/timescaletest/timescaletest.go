// Package timescaletest runs a real TimescaleDB, compiled to WebAssembly, for
// tests: no Debian package has it, but an npm package does. server.mjs says what
// it can do and what it cannot; above all it is one backend, so it is never
// evidence about locks or concurrency.
package timescaletest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Process is a Node process that holds any number of database servers. It ends
// with this process at the latest. It is safe for concurrent use.
type Process struct {
	mu     sync.Mutex // of one command and its answer
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
}

// Start starts the process, without any server in it.
func Start() (*Process, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		return nil, fmt.Errorf("TimescaleDB for tests is not installed: run npm ci in %s (make does)", dir)
	}
	// It serves every test of this process, and ends with it: see server.mjs.
	cmd := exec.CommandContext(context.Background(), "node", "server.mjs")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	p := &Process{cmd: cmd}
	if p.input, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.output = bufio.NewReader(output)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start TimescaleDB for tests (Node 20 or newer is needed): %w", err)
	}
	return p, nil
}

// folder is this package's, found from the working directory of a test, which is
// its package's folder.
func folder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		here := filepath.Join(dir, "schema", "timescaletest")
		if _, err := os.Stat(filepath.Join(here, "server.mjs")); err == nil {
			return here, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("schema/timescaletest is not above the working directory")
		}
	}
}

// Server is one database server of a Process, empty but for the extension or
// a copy of the last snapshot.
type Server struct {
	process *Process
	port    int
}

// Open makes a server.
func (p *Process) Open(ctx context.Context) (*Server, error) {
	answer, err := p.do(ctx, "open")
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(answer)
	if err != nil {
		return nil, fmt.Errorf("TimescaleDB for tests answered %q", answer)
	}
	return &Server{process: p, port: port}, nil
}

// DSN is the server's address. The backend has no named prepared statements,
// hence exec mode.
func (s *Server) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&default_query_exec_mode=exec", s.port)
}

// Snapshot makes the server's state what every later Open copies.
func (s *Server) Snapshot(ctx context.Context) error {
	_, err := s.process.do(ctx, fmt.Sprintf("snapshot %d", s.port))
	return err
}

// Close ends the server and frees its memory.
func (s *Server) Close(ctx context.Context) error {
	_, err := s.process.do(ctx, fmt.Sprintf("close %d", s.port))
	return err
}

// Close ends the process and every server in it.
func (p *Process) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.input.Close(), p.cmd.Wait())
}

// do sends one command and reads its answer. It does not end with ctx but for
// between commands: half an answer would be the next command's.
func (p *Process) do(ctx context.Context, command string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(p.input, command+"\n"); err != nil {
		return "", fmt.Errorf("TimescaleDB for tests has ended: %w", err)
	}
	answer, err := p.output.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("TimescaleDB for tests has ended: %w", err)
	}
	answer = strings.TrimSpace(answer)
	if text, failed := strings.CutPrefix(answer, "error "); failed {
		return "", fmt.Errorf("TimescaleDB for tests: %s: %s", command, text)
	}
	return answer, nil
}
