package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// procfs is where the kernel shows its processes, /proc of Linux.
type procfs string

// process is what the kernel says of a process.
type process struct {
	parent int
	used   time.Duration // user and system time of its own
	reaped time.Duration // of children that it has waited for, and of theirs
}

// tick is the unit of time in /proc: USER_HZ is 100 on every platform that we
// build for.
const tick = time.Second / 100

// check says whether there is such a thing.
func (p procfs) check() error {
	if _, err := p.process(os.Getpid()); err != nil {
		return fmt.Errorf("the CPU time of other processes is read from %s, which is Linux's: %w", p, err)
	}
	return nil
}

func (p procfs) process(pid int) (process, error) {
	text, err := os.ReadFile(filepath.Join(string(p), strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, err
	}
	return parseStat(string(text))
}

// parseStat reads a line of /proc/<pid>/stat (proc_pid_stat(5)). The second
// field is the program's name in parentheses, and may hold anything, spaces and
// parentheses included.
func parseStat(text string) (process, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:]) // from the third, the state, on
	if end < 0 || len(fields) < 15 {
		return process{}, fmt.Errorf("%.60q is not the state of a process", text)
	}
	var n [5]int64
	for i, field := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		var err error
		if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return process{}, fmt.Errorf("field %d of a process's state: %w", field+3, err)
		}
	}
	return process{parent: int(n[0]), used: time.Duration(n[1]+n[2]) * tick, reaped: time.Duration(n[3]+n[4]) * tick}, nil
}

// cpu is the time that the process itself has used.
func (p procfs) cpu(pid int) (time.Duration, error) {
	self, err := p.process(pid)
	return self.used, err
}

// cpuOfFamily is the time that the process has used with all the children it
// ever had: a server's with a process for each of its clients.
func (p procfs) cpuOfFamily(pid int) (time.Duration, error) {
	for {
		before, err := p.process(pid)
		if err != nil {
			return 0, err
		}
		children, err := p.cpuOfChildren(pid)
		if err != nil {
			return 0, err
		}
		after, err := p.process(pid)
		if err != nil {
			return 0, err
		}
		// A child that was reaped meanwhile was counted twice or not at all.
		if before.reaped == after.reaped {
			return after.used + after.reaped + children, nil
		}
	}
}

func (p procfs) cpuOfChildren(pid int) (sum time.Duration, err error) {
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		state, err := p.process(child)
		if err == nil && state.parent == pid {
			sum += state.used + state.reaped
		}
		// One that has ended since it was listed is the parent's to count.
	}
	return sum, nil
}

// resident is how much memory the process has in RAM, in bytes.
func (p procfs) resident(pid int) (bytes int64, err error) {
	f, err := os.Open(filepath.Join(string(p), strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s does not say how much memory process %d has: %w", p, pid, errors.ErrUnsupported)
}

// busy is the time that all processors together have worked, whoever for, and
// that the machine's host has kept from them.
func (p procfs) busy() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(string(p), "stat"))
	if err != nil {
		return 0, err
	}
	return parseBusy(string(text))
}

// parseBusy reads the first line of /proc/stat (proc_stat(5)): user, nice,
// system, idle, iowait, irq, softirq and steal time of all processors.
func parseBusy(text string) (sum time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("%.60q does not say how busy the processors were", line)
	}
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("field %d of the processors' times: %w", i, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// load is the machine's load average over the last minute; "" if it is not known.
func (p procfs) load() string {
	text, err := os.ReadFile(filepath.Join(string(p), "loadavg"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
