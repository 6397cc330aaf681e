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

// The shell session of docs/accounts.md, whose codes come by mail, does what it
// says on the real binary.
func TestWalkThroughOfAccounts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	text, err := os.ReadFile("../../docs/accounts.md")
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
		for n := range 2 {
			m, err := mails.Wait(t.Context(), n)
			if err != nil {
				return
			}
			if _, err := io.WriteString(typed, digits.FindString(m.Body)+"\n"); err != nil {
				return
			}
		}
	}()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, output.String())
	}
	for _, want := range []string{`"email":"ada@example.com"`, `"items":[{`, `"secret":`, `"device_id"`, `"missing":`} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("the session does not show %s:\n%s", want, output.String())
		}
	}
}
