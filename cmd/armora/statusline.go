package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// statusLine is a line that is written again and again: in place on a terminal,
// one below the other elsewhere.
type statusLine struct {
	mu    sync.Mutex
	out   io.Writer
	width func() int // of the terminal; 0: it is none
	shown string     // what stands on the terminal's last line
}

func newStatusLine(to console) *statusLine {
	s := &statusLine{out: to.out, width: func() int { return 0 }}
	if f, ok := to.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 1 { // a terminal that does not know
				return 80
			}
			return width
		}
	}
	return s
}

// show puts text on the line.
func (s *statusLine) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	width := s.width()
	if width == 0 {
		_, _ = fmt.Fprintln(s.out, text)
		return
	}
	for utf8.RuneCountInString(text) >= width { // a wrapped line cannot be taken back
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	s.shown = text
	s.draw()
}

// end leaves the line as it is and begins a new one.
func (s *statusLine) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown != "" {
		s.shown = ""
		_, _ = fmt.Fprintln(s.out)
	}
}

// The line is written over, so that it does not flicker, and what is left of a
// longer one erased (ECMA-48 EL).
func (s *statusLine) draw() { _, _ = fmt.Fprintf(s.out, "\r%s\x1b[K", s.shown) }

// above returns a writer whose lines, perhaps on the same terminal, do not mix
// with the status.
func (s *statusLine) above(w io.Writer) io.Writer { return aboveLine{s, w} }

type aboveLine struct {
	status *statusLine
	w      io.Writer
}

// Write implements io.Writer.
func (a aboveLine) Write(b []byte) (int, error) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	if a.status.shown == "" {
		return a.w.Write(b)
	}
	_, _ = fmt.Fprint(a.status.out, "\r\x1b[K")
	n, err := a.w.Write(b)
	a.status.draw()
	return n, err
}
