package main

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"armora/sim/smtp"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The shell sessions of the documentation, whose codes come by mail, do what they
// say on the real binary.
func TestWalkThroughOfAccounts(t *testing.T) {
	t.Parallel()
	walkThrough(t, "accounts.md", 2, `"email":"ada@example.com"`, `"items":[{`, `"secret":`, `"device_id"`, `"missing":`)
}

func TestWalkThroughOfBookings(t *testing.T) {
	t.Parallel()
	walkThrough(t, "bookings.md", 1, `"notes":"the red door"`, `"weekdays":[`, `"made":4`, `"label":"Chelsea"`, `"status":"cancelled"`, `"kind":"booked"`)
}

// walkThrough runs a session in which so many codes come by mail, and that shows
// what is wanted.
func walkThrough(t *testing.T, document string, codes int, wanted ...string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	text, err := os.ReadFile("../../docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		script.WriteString(block[1])
	}
	mails := smtp.New(smtp.Config{})
	if err := mails.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	h := serve(t, "SMTP_URL=smtp://"+mails.Addr())

	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script.String())
	cmd.Env = append(os.Environ(), "HUB="+h.api)
	typed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var output safeBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // what the person reads in their mail, they type
		for n, left := 0, codes; left > 0; n++ {
			m, err := mails.Wait(t.Context(), n)
			if err != nil {
				return
			}
			code := digits.FindString(m.Body)
			if code == "" {
				continue // it tells them of something
			}
			if _, err := io.WriteString(typed, code+"\n"); err != nil {
				return
			}
			left--
		}
	}()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, output.String())
	}
	for _, want := range wanted {
		if !strings.Contains(output.String(), want) {
			t.Errorf("the session does not show %s:\n%s", want, output.String())
		}
	}
}
