package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is this program under another of its commands, in a process of its own:
// so the CPU time of each part is its own. It says on its standard output when
// it is ready, and afterwards what its result is.
type child struct {
	name string
	cmd  *exec.Cmd
	out  *bufio.Reader
	ctx  context.Context // ends when it is asked to end
	stop context.CancelFunc
}

// childPatience is how long a child that was asked to end may take.
const childPatience = 20 * time.Second

// startChild starts one. It is asked to end when ctx ends; either way, finish or
// end has to be called. What it logs goes to log.
func startChild(ctx context.Context, log io.Writer, env []string, name string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{name: name}
	c.ctx, c.stop = context.WithCancel(ctx)
	c.cmd = exec.CommandContext(c.ctx, self, args...)
	c.cmd.Env = append(foreignEnv(), env...)
	c.cmd.Stderr = log
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = childPatience
	// Ctrl-C is for the parent, which ends its children in order.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	c.out = bufio.NewReader(out)
	return c, nil
}

// foreignEnv is the environment without the settings of a hub: a bench measures
// the defaults.
func foreignEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		ours := strings.HasPrefix(name, "ARMORA_") || strings.HasPrefix(name, "TWILIO_") || name == "DATABASE_URL" || name == "SMTP_URL"
		if !ours {
			env = append(env, e)
		}
	}
	return env
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// line waits for the next line that it prints.
func (c *child) line() (string, error) {
	line, err := c.out.ReadString('\n')
	if err != nil {
		_, ended := c.finish()
		return "", errors.Join(fmt.Errorf("the %s ended before it was ready", c.name), ended)
	}
	return strings.TrimSpace(line), nil
}

// finish waits for its end, and returns the rest of what it printed.
func (c *child) finish() ([]byte, error) {
	rest, readErr := io.ReadAll(c.out)
	err := c.cmd.Wait()
	if errors.Is(err, context.Canceled) { // it ended well when it was asked to
		err = nil
	}
	c.stop()
	if err = errors.Join(readErr, err); err != nil {
		return nil, fmt.Errorf("the %s failed: %w", c.name, err)
	}
	return rest, nil
}

// end asks it to end, and waits until it has.
func (c *child) end() ([]byte, error) {
	c.stop()
	return c.finish()
}
