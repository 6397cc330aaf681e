package account

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// statements counts what a database is asked.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	// The pool looks after a connection that was idle for a second, and jobs are
	// announced at most so often: neither has to do with who is asked about.
	if query.SQL != "-- ping" && !strings.HasPrefix(query.SQL, "-- name: PGNotifyMany") {
		s.n.Add(1)
	}
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// work is what an answer cost. Equal work is what keeps timings from telling
// anything; the timings themselves depend on the machine.
type work struct {
	statements int64
	hashes     uint64
	code       fleet.Code
	message    string
}

// Whether an address has an account, and in which state, shows neither in the
// answer nor in the work that it takes.
func TestAnswersAndWorkDoNotTellWhetherAnAddressHasAnAccount(t *testing.T) {
	t.Parallel()
	asked := new(statements)
	db, err := schema.Open(t.Context(), schematest.PlainDSN(t), schema.Options{Tracer: asked})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	w := newTown(t, db)
	w.resident("member@example.com")
	w.register("waiting@example.com", password)
	_, suspended := w.resident("suspended@example.com")
	if _, err := w.users.Suspend(t.Context(), suspended.User, fleet.Suspension{Reason: "x", Since: noon}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Enlist(t.Context(), Enlisting{Email: "staff@example.com", Roles: []fleet.Role{fleet.RoleAdmin}}); err != nil {
		t.Fatal(err)
	}
	var askers []*Caller // each for one address that they want to have
	for _, email := range []string{"a1@example.com", "a2@example.com", "a3@example.com", "a4@example.com", "a5@example.com"} {
		_, asker := w.resident(email)
		askers = append(askers, asker)
	}
	elsewhere := Where{Agent: "test", Address: "203.0.113.9"} // where nobody has signed in
	for what, try := range map[string]func(email string) error{
		"login": func(email string) error {
			_, _, err := w.Login(t.Context(), Login{Email: email, Password: "not the password at all"}, elsewhere)
			return err
		},
		"register": func(email string) error {
			return w.Register(t.Context(), Registration{Email: email, Password: "another long phrase", Peer: elsewhere.Address})
		},
		"verify": func(email string) error {
			_, _, err := w.VerifyEmail(t.Context(), email, "none", elsewhere)
			return err
		},
		"another address": func(email string) error {
			asker := askers[0]
			askers = askers[1:]
			return w.AskEmail(t.Context(), asker, email)
		},
		"forgot": func(email string) error { return w.ForgotPassword(t.Context(), email, elsewhere.Address) },
		"reset": func(email string) error {
			return w.ResetPassword(t.Context(), email, "none", "another long phrase", elsewhere.Address)
		},
	} {
		var first work
		for i, email := range []string{"nobody@example.com", "member@example.com", "waiting@example.com", "suspended@example.com", "staff@example.com"} {
			w.clock.Advance(time.Minute) // past every wait
			if what == "register" && i == 0 {
				email = "newcomer@example.com"
			}
			before := work{statements: asked.n.Load(), hashes: w.hasher.count.Load()}
			err := try(email)
			got := work{statements: asked.n.Load() - before.statements, hashes: w.hasher.count.Load() - before.hashes}
			if err != nil {
				got.code, got.message = fleet.CodeOf(err), err.Error()
			}
			if i == 0 {
				if first = got; first.statements == 0 {
					t.Errorf("%s asks the database nothing", what)
				}
			} else if got != first {
				t.Errorf("%s of %s: %+v, and of nobody %+v", what, email, got, first)
			}
		}
	}
}

// A right password of an account that is not in force is as good as a wrong one.
func TestARightPasswordOfAnAccountOutOfForceIsAWrongOne(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		w.register("waiting@example.com", password)
		_, suspended := w.resident("suspended@example.com")
		if _, err := w.users.Suspend(t.Context(), suspended.User, fleet.Suspension{Reason: "x", Since: noon}); err != nil {
			t.Fatal(err)
		}
		for _, email := range []string{"waiting@example.com", "suspended@example.com", "nobody@example.com"} {
			if _, err := w.login(email, password, ""); !errors.Is(err, errBadLogin) {
				t.Errorf("%s: %v", email, err)
			}
		}
		if err := w.users.Reinstate(t.Context(), suspended.User, fleet.UserID{}, "y", noon); err != nil {
			t.Fatal(err)
		}
		if _, err := w.login("suspended@example.com", password, ""); err != nil {
			t.Errorf("reinstated: %v", err)
		}
	})
}

// Registering an address that has an account leaves no code that could be
// guessed.
func TestRegisteringAKnownAddressLeavesNoCode(t *testing.T) {
	t.Parallel()
	w := newTown(t, schematest.Plain(t))
	w.resident("ada@example.com")
	w.must(w.Register(t.Context(), Registration{Email: "ada@example.com", Password: "the stranger's phrase"}))
	var good int
	err := w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM codes WHERE expires > $1`, w.clock.Now()).Scan(&good)
	if err != nil || good != 0 {
		t.Errorf("%d codes are good, %v", good, err)
	}
}
