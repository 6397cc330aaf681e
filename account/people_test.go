package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/pquerna/otp/totp"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

const password = "a long enough phrase"

var here = Where{Agent: "test", Address: "192.0.2.1"}

// town is a hub's people, with their mail.
type town struct {
	*People
	t     *testing.T
	db    *schema.DB
	clock *fleet.ManualClock
}

func newTown(t *testing.T, db *schema.DB) *town {
	t.Helper()
	clock, keyring := fleet.NewManualClock(noon), testKeyring(t, 1)
	sessions, err := NewSessions(SessionsConfig{DB: db, Keyring: keyring, Keys: testKeys(t, db, clock, 1), Bus: &bus.Bus{}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sessions.Close)
	p := NewPeople(PeopleConfig{
		DB: db, Keyring: keyring, Sessions: sessions, Clock: clock,
		Cost: &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
	})
	return &town{People: p, t: t, db: db, clock: clock}
}

// mail returns the kind of the newest notice that is sent, to whom it goes, and
// its data.
func (w *town) mail() (kind, to string, data map[string]string) {
	w.t.Helper()
	list, err := (schema.Notices{DB: w.db}).List(w.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 10)
	list = slices.DeleteFunc(list, func(s schema.NoticeStatus) bool { return s.Notice.Channel == fleet.InboxChannel })
	if err != nil || len(list) == 0 {
		w.t.Fatalf("the newest notice: %v, %v", list, err)
	}
	n, err := (schema.Notices{DB: w.db}).Claim(w.t.Context(), list[0].Notice.ID, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	plain, err := w.keyring.Unseal(n.Sealed, n.Purpose())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &data); err != nil {
		w.t.Fatal(err)
	}
	return n.Kind, n.To, data
}

// register registers an address and returns the code that came.
func (w *town) register(email, password string) string {
	w.t.Helper()
	w.must(w.Register(w.t.Context(), Registration{Email: email, Password: password, Name: "Ada Vale"}))
	kind, to, data := w.mail()
	if kind != "verify_email" || len(data["code"]) != 6 {
		w.t.Fatalf("%s came to %s: %v", kind, to, data)
	}
	return data["code"]
}

// resident is a person with an account in force.
func (w *town) resident(email string) (Tokens, *Caller) {
	w.t.Helper()
	tokens, _, err := w.VerifyEmail(w.t.Context(), email, w.register(email, password), here)
	w.must(err)
	return tokens, w.caller(tokens.Access)
}

func (w *town) caller(token string) *Caller {
	w.t.Helper()
	c, err := w.sessions.Verify(w.t.Context(), token)
	w.must(err)
	return c
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) want(err error, code fleet.Code) {
	w.t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		w.t.Fatalf("%v, want %s", err, code)
	}
}

func (w *town) login(email, password, otp string) (Tokens, error) {
	tokens, _, err := w.Login(w.t.Context(), Login{Email: email, Password: password, OTP: otp}, here)
	return tokens, err
}

func TestAnAccountIsInForceOnceItsCodeWasSeen(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		code := w.register("Ada@Example.com", password)
		_, err := w.login("ada@example.com", password, "")
		w.want(err, fleet.CodeUnauthenticated)
		wrong := "000000"
		if code == wrong {
			wrong = "000001"
		}
		_, _, err = w.VerifyEmail(t.Context(), "ada@example.com", wrong, here)
		w.want(err, fleet.CodeUnauthenticated)
		tokens, user, err := w.VerifyEmail(t.Context(), "ADA@example.com", code, here)
		w.must(err)
		if user.Email != "ada@example.com" || user.EmailVerified.IsZero() || !user.Has(fleet.RoleRider) || len(user.Roles) != 1 {
			t.Errorf("%+v", user)
		}
		if c := w.caller(tokens.Access); c.User != user.ID {
			t.Errorf("%+v", c)
		}
		_, _, err = w.VerifyEmail(t.Context(), "ada@example.com", code, here)
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login(" ada@example.COM", password, "")
		w.must(err)
	})
}

// A stranger who registers the same address gets no password in by the owner's
// code, nor the other way round.
func TestACodePutsItsOwnPasswordInForce(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	mine := w.register("ada@example.com", password)
	w.register("ada@example.com", "the stranger's phrase")
	_, _, err := w.VerifyEmail(t.Context(), "ada@example.com", mine, here)
	w.must(err)
	_, err = w.login("ada@example.com", "the stranger's phrase", "")
	w.want(err, fleet.CodeUnauthenticated)
	_, err = w.login("ada@example.com", password, "")
	w.must(err)
}

func TestACodeExpiresAndIsGuessedAtAFewTimes(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	code := w.register("ada@example.com", password)
	w.clock.Advance(codeLife)
	_, _, err := w.VerifyEmail(t.Context(), "ada@example.com", code, here)
	w.want(err, fleet.CodeUnauthenticated)
	code = w.register("ada@example.com", password)
	for range 5 {
		w.clock.Advance(time.Minute) // past what a wrong guess costs
		_, _, err := w.VerifyEmail(t.Context(), "ada@example.com", "x"+code[1:], here)
		w.want(err, fleet.CodeUnauthenticated)
	}
	w.clock.Advance(time.Minute)
	_, _, err = w.VerifyEmail(t.Context(), "ada@example.com", code, here)
	w.want(err, fleet.CodeUnauthenticated)
}

// The answer is the same, and so is the work: the owner alone is told.
func TestRegisteringAKnownAddressTellsItsOwner(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		w.resident("ada@example.com")
		w.must(w.Register(t.Context(), Registration{Email: "ada@example.com", Password: "another long phrase"}))
		if kind, to, data := w.mail(); kind != "account_exists" || to != "ada@example.com" || data["code"] != "" {
			t.Errorf("%s came to %s: %v", kind, to, data)
		}
		_, err := w.login("ada@example.com", "another long phrase", "")
		w.want(err, fleet.CodeUnauthenticated)
		w.must(w.ForgotPassword(t.Context(), "nobody@example.com", here.Address))
		w.must(w.sendReset(t.Context(), "nobody@example.com"))
		if list, err := (schema.Notices{DB: db}).List(t.Context(), fleet.UserID{}, fleet.NoticeID{}, 10); err != nil || len(list) != 2 {
			t.Errorf("%d notices, %v: somebody without an account was told", len(list), err)
		}
	})
}

func TestWeakPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	for _, weak := range []string{"", "short", "Password123", "ada.vale.long@example.com", "ada.vale.long", string(make([]byte, 257))} {
		w.want(w.Register(t.Context(), Registration{Email: "ada.vale.long@example.com", Password: weak}), fleet.CodeInvalid)
	}
	for _, odd := range []string{"", "ada", "Ada <ada@example.com>", "a@b@c", "ada@example.com\nx"} {
		w.want(w.Register(t.Context(), Registration{Email: odd, Password: password}), fleet.CodeInvalid)
	}
}

func TestWrongPasswordsCostAWaitOfTenSecondsAtMost(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		w.resident("ada@example.com")
		stranger := Where{Address: "198.51.100.9"}
		attempt := func(email string, from Where) error {
			_, _, err := w.Login(t.Context(), Login{Email: email, Password: "wrong wrong"}, from)
			return err
		}
		longest := time.Duration(0)
		for range 40 { // from ever new addresses, so that the account's wait shows
			stranger.Address = fleet.NewID[fleet.User]().String()
			err := attempt("ada@example.com", stranger)
			if e, ok := errors.AsType[*fleet.Error](err); ok && e.Code == fleet.CodeTooMany {
				longest = max(longest, e.Retry)
				w.clock.Advance(e.Retry)
				continue
			}
			w.want(err, fleet.CodeUnauthenticated)
		}
		if longest != 10*time.Second {
			t.Errorf("the longest wait is %v, want 10 s", longest)
		}
		_, err := w.login("ada@example.com", password, "") // from where she has been before
		w.must(err)

		// One source, ever new accounts. Who has one address of IPv6 has 2^64.
		for what, from := range map[string]string{"address": "203.0.113.5", "network": ""} {
			seen := false
			for i := range 60 {
				if what == "network" {
					from = fmt.Sprintf("2001:db8::%x", i)
				}
				seen = seen || fleet.CodeOf(attempt(fmt.Sprintf("%s%d@example.com", what, i), Where{Address: from})) == fleet.CodeTooMany
			}
			if !seen {
				t.Errorf("one %s may try any number of accounts", what)
			}
		}
	})
}

// Codes that come by mail are few, whoever asks for them: each would be five more guesses
// at a way in. Who asks from where they have been before waits for no stranger.
func TestCodesByMailAreFew(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		w.resident("ada@example.com")
		ask := map[string]func(email, peer string) error{
			"forgot": func(email, peer string) error { return w.ForgotPassword(t.Context(), email, peer) },
			"register": func(email, peer string) error {
				return w.Register(t.Context(), Registration{Email: email, Password: password, Peer: peer})
			},
		}
		for what, ask := range ask {
			const most = 40
			sent, peer := 0, 0
			for end := w.clock.Now().Add(24 * time.Hour); sent <= most && w.clock.Now().Before(end); peer++ {
				err := ask("ada@example.com", fmt.Sprintf("203.0.113.%d", peer)) // ever new ones
				if e, ok := errors.AsType[*fleet.Error](err); ok && e.Code == fleet.CodeTooMany && e.Retry > 0 {
					w.clock.Advance(e.Retry + time.Second)
					continue
				}
				w.must(err)
				sent++
			}
			if sent > most {
				t.Errorf("%s: strangers have more than %d codes sent in a day", what, most)
			}
			w.must(ask("ada@example.com", here.Address))
			refused := 0
			for i := range 60 {
				if err := ask(fmt.Sprintf("%s%d@example.com", what, i), "198.51.100.7"); err != nil {
					w.want(err, fleet.CodeTooMany)
					refused++
				}
			}
			if refused == 0 {
				t.Errorf("%s: one source may write to any number of addresses", what)
			}
			w.clock.Advance(3 * time.Hour)
			w.must(ask("ada@example.com", "203.0.113.1"))
		}
	})
}

// Guesses that are made at once are counted before any is checked.
func TestManyGuessesAtOnceAreNoWayAround(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	w.resident("ada@example.com")
	var checked atomic.Int32
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			_, _, err := w.Login(t.Context(), Login{Email: "ada@example.com", Password: "wrong wrong"}, Where{Address: "198.51.100.9"})
			if fleet.CodeOf(err) == fleet.CodeUnauthenticated {
				checked.Add(1)
			}
		})
	}
	all.Wait()
	if n := checked.Load(); n == 0 || n > 5 {
		t.Errorf("%d of 30 guesses were checked", n)
	}
}

func TestPasswordsAreResetAndChanged(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		before, _ := w.resident("ada@example.com")
		w.must(w.sendReset(t.Context(), "ada@example.com"))
		_, _, data := w.mail()
		w.want(w.ResetPassword(t.Context(), "ada@example.com", data["code"], "short", "x"), fleet.CodeInvalid)
		w.must(w.ResetPassword(t.Context(), "ada@example.com", data["code"], "the second long phrase", "x"))
		w.want(w.ResetPassword(t.Context(), "ada@example.com", data["code"], "the third long phrase", "x"), fleet.CodeUnauthenticated)
		if kind, _, _ := w.mail(); kind != "password_changed" {
			t.Errorf("the owner is told by %s", kind)
		}
		_, err := w.sessions.Verify(t.Context(), before.Access)
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", password, "")
		w.want(err, fleet.CodeUnauthenticated)
		one, err := w.login("ada@example.com", "the second long phrase", "")
		w.must(err)
		two, err := w.login("ada@example.com", "the second long phrase", "")
		w.must(err)

		c := w.caller(one.Access)
		_, _, err = w.ChangePassword(t.Context(), c, password, "the fourth long phrase", Where{Address: "x"})
		w.want(err, fleet.CodeUnauthenticated)
		w.caller(one.Access)
		w.clock.Advance(time.Minute)
		next, _, err := w.ChangePassword(t.Context(), c, "the second long phrase", "the fourth long phrase", Where{Address: "x"})
		w.must(err)
		for _, over := range []Tokens{one, two} { // also what somebody has copied of the caller's
			_, err = w.sessions.Verify(t.Context(), over.Access)
			w.want(err, fleet.CodeUnauthenticated)
			_, err = w.sessions.Refresh(t.Context(), over.Refresh)
			w.want(err, fleet.CodeUnauthenticated)
		}
		if now := w.caller(next.Access); now.Session == c.Session || !now.Authenticated.Equal(c.Authenticated) || now.SecondFactor != c.SecondFactor {
			t.Errorf("they go on as %+v, and were %+v", now, c)
		}
		_, err = w.sessions.Refresh(t.Context(), next.Refresh)
		w.must(err)
	})
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		_, c := w.resident("ada@example.com")
		secret, url, err := w.EnrolTOTP(t.Context(), c)
		w.must(err)
		if len(secret) < 32 || url == "" {
			t.Errorf("secret %q, url %q", secret, url)
		}
		now := func() string {
			code, err := totp.GenerateCode(secret, w.clock.Now())
			w.must(err)
			return code
		}
		told := func(want string) {
			t.Helper()
			if kind, to, data := w.mail(); kind != "second_factor" || to != "ada@example.com" || !strings.Contains(data["what"], want) {
				t.Errorf("%s is told %s: %v", to, kind, data)
			}
		}
		_, err = w.ConfirmTOTP(t.Context(), c, "12345x")
		w.want(err, fleet.CodeInvalid)
		_, err = w.login("ada@example.com", password, "")
		w.must(err) // not in force yet
		recovery, err := w.ConfirmTOTP(t.Context(), c, now())
		w.must(err)
		told("put in force")
		_, _, err = w.EnrolTOTP(t.Context(), c)
		w.want(err, fleet.CodeConflict)

		_, err = w.login("ada@example.com", "wrong wrong", "")
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", password, "")
		w.want(err, fleet.CodeOTPNeeded)
		_, err = w.login("ada@example.com", password, now()) // seen by ConfirmTOTP
		w.want(err, fleet.CodeUnauthenticated)
		w.clock.Advance(time.Minute)
		tokens, err := w.login("ada@example.com", password, now())
		w.must(err)
		if !w.caller(tokens.Access).SecondFactor {
			t.Error("the session does not know of its second factor")
		}
		_, err = w.login("ada@example.com", password, now())
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", password, recovery[3])
		w.must(err)
		_, err = w.login("ada@example.com", password, recovery[3])
		w.want(err, fleet.CodeUnauthenticated)
		w.clock.Advance(time.Minute)
		fresh, err := w.ReplaceRecoveryCodes(t.Context(), c)
		w.must(err)
		told("replaced")
		_, err = w.login("ada@example.com", password, recovery[4])
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", password, fresh[0])
		w.must(err)

		w.must(w.RemoveTOTP(t.Context(), c))
		told("removed")
		_, err = w.sessions.Verify(t.Context(), tokens.Access)
		w.want(err, fleet.CodeUnauthenticated)
		_, err = w.login("ada@example.com", password, "")
		w.must(err)
	})
}

func TestReauthentication(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	tokens, c := w.resident("ada@example.com")
	w.clock.Advance(9 * time.Minute)
	w.want(w.Reauthenticate(t.Context(), c, "wrong wrong", "", "x"), fleet.CodeUnauthenticated)
	w.must(w.Reauthenticate(t.Context(), c, password, "", "x"))
	if c := w.caller(tokens.Access); !c.Authenticated.Equal(w.clock.Now()) {
		t.Errorf("last proved at %v, want %v", c.Authenticated, w.clock.Now())
	}
}
