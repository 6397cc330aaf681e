package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"armora/schema/schematest"
)

// adminLogin is what `armora admin create` printed.
type adminLogin struct{ email, password, secret string }

func readLogin(t *testing.T, cmd *exec.Cmd) (l adminLogin, all string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	read := func(what string) string {
		m := regexp.MustCompile(`(?m)^  ` + what + ` +(.*)$`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("no %s in:\n%s", what, out)
		}
		return string(m[1])
	}
	return adminLogin{read("e-mail"), read("password"), read("second factor")}, string(out)
}

// try signs in with a code of the second factor, of the moment at.
func (h *served) try(l adminLogin, at time.Time) (status int, token string) {
	h.t.Helper()
	otp, err := totp.GenerateCode(l.secret, at)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"email": l.email, "password": l.password, "otp": otp})
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.Post(h.api+"/api/auth/login", "application/json", strings.NewReader(string(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&tokens); err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, tokens.AccessToken
}

// get returns the status of the list of users for the holder of a token.
func (h *served) get(token string) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.api+"/api/users", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// The first admin is made while the hub is stopped, and the admin token is good
// for nothing from then on. Who loses the second factor gets another.
func TestAdminCreate(t *testing.T) {
	t.Parallel()
	h := serve(t)
	if status := h.get(testToken); status != http.StatusOK {
		t.Errorf("without an admin the bootstrap admin gets %d", status)
	}
	refuses(t, nil, "in use by another hub", "admin", "create", "ada@example.com", "--data-dir", h.dir)
	h.stop()
	refuses(t, nil, "e-mail address", "admin", "create", "ada", "--data-dir", h.dir)

	create := func(args ...string) *exec.Cmd {
		return command(t, nil, append([]string{"admin", "create", "Ada@example.com", "--data-dir", h.dir}, args...)...)
	}
	first, text := readLogin(t, create("--name", "Ada Vale"))
	_, recovery, _ := strings.Cut(text, "recovery codes")
	if first.email != "ada@example.com" || len(strings.Fields(recovery)) < 10 {
		t.Errorf("it says\n%s", text)
	}
	again, _ := readLogin(t, create())
	if again.password != "as before" || again.secret != "as before" {
		t.Errorf("the second time it says %+v", again)
	}
	h.start()
	status, token := h.try(first, time.Now())
	if status != http.StatusOK || h.get(token) != http.StatusOK {
		t.Errorf("the admin signs in with %d and sees the users with %d", status, h.get(token))
	}
	if status := h.get(testToken); status != http.StatusUnauthorized {
		t.Errorf("with an admin the bootstrap admin gets %d", status)
	}
	h.stop()

	reset := create("--reset", "--password-stdin")
	reset.Stdin = strings.NewReader("correct horse battery staple\n")
	second, _ := readLogin(t, reset)
	if second.password != "as given" || second.secret == first.secret {
		t.Errorf("the reset says %+v", second)
	}
	second.password = "correct horse battery staple"
	h.env = append(h.env, "ARMORA_ALLOW_BOOTSTRAP=true")
	h.start()
	if status, _ := h.try(first, time.Now()); status != http.StatusUnauthorized {
		t.Errorf("the old login: %d", status)
	}
	if status, _ := h.try(second, time.Now()); status != http.StatusOK {
		t.Errorf("the new login: %d", status)
	}
	if status := h.get(testToken); status != http.StatusOK {
		t.Errorf("where it is allowed the bootstrap admin gets %d", status)
	}
}

func TestAdminCreateWithAnotherSecretKey(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t, schematest.Dir(t))
	env := []string{"DATABASE_URL=" + server.DSN()}
	readLogin(t, command(t, env, "admin", "create", "ada@example.com", "--data-dir", schematest.Dir(t)))
	refuses(t, env, "secret.key", "admin", "create", "bo@example.com", "--data-dir", schematest.Dir(t))
}
