package account

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// meanwhile is a clock at which, when it is next asked, something happens first.
type meanwhile struct {
	*fleet.ManualClock
	does func()
}

func (m *meanwhile) Now() time.Time {
	if does := m.does; does != nil {
		m.does = nil
		does()
	}
	return m.ManualClock.Now()
}

// Whoever has shown a password that is replaced before their session begins gets none:
// it would outlive the end of all sessions.
func TestASessionDoesNotBeginByWhatIsTakenBackMeanwhile(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newTown(t, db)
		const email, second = "ada@example.com", "the second long phrase"
		_, c := w.resident(email)
		reset := func(to string) func() {
			return func() {
				w.must(w.sendReset(t.Context(), email))
				_, _, data := w.mail()
				w.must(w.ResetPassword(t.Context(), email, data["code"], to, "x"))
			}
		}
		begins := &meanwhile{ManualClock: w.clock}
		w.sessions.clock = begins
		alive := func(want int, why string) {
			t.Helper()
			live, err := w.sessions.List(t.Context(), c.User)
			if err != nil || len(live) != want {
				t.Errorf("%s: %d sessions, want %d; %v", why, len(live), want, err)
			}
		}

		begins.does = reset(second)
		_, err := w.login(email, password, "")
		w.want(err, fleet.CodeUnauthenticated)
		alive(0, "signed in while the password was replaced")

		one, err := w.login(email, second, "")
		w.must(err)
		begins.does = reset(password)
		_, _, err = w.ChangePassword(t.Context(), w.caller(one.Access), second, "a stranger's long phrase", here)
		w.want(err, fleet.CodeUnauthenticated)
		alive(0, "changed while the password was replaced")

		_, err = w.login(email, password, "")
		w.must(err)
		begins.does = func() {
			_, err := w.users.Suspend(t.Context(), c.User, fleet.Suspension{Reason: "x", Since: noon})
			w.must(err)
		}
		_, err = w.login(email, password, "")
		w.want(err, fleet.CodeUnauthenticated)
		w.must(w.users.Reinstate(t.Context(), c.User, fleet.UserID{}, "x", noon))
		alive(0, "signed in while suspended")
	})
}
