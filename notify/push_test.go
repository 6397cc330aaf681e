package notify

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/sim/fcm"
)

// pushWorld is a world with an FCM, and somebody who has apps.
type pushWorld struct {
	*world
	fcm  *fcm.Server
	user fleet.UserID
}

func newPushWorld(t *testing.T, apps ...string) *pushWorld {
	t.Helper()
	service, err := fcm.New()
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(service)
	t.Cleanup(host.Close)
	credentials, err := service.Credentials(host.URL)
	if err != nil {
		t.Fatal(err)
	}
	push, err := NewPush(t.Context(), PushConfig{Credentials: credentials, URL: host.URL})
	if err != nil {
		t.Fatal(err)
	}
	w := &pushWorld{world: newWorld(t, func(c *Config) { c.Push = push }), fcm: service, user: fleet.NewID[fleet.User]()}
	session := fleet.NewID[fleet.UserSession]()
	for _, sql := range []string{
		`INSERT INTO users (id, email, name, roles, created) VALUES ($1::text::uuid, 'ada@example.com', '', '{driver}', $3)`,
		`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
		 VALUES ($2::text::uuid, $1::text::uuid, '', false, '', '', $3, $3, $3, 'infinity')`,
	} {
		if _, err := w.db.Pool().Exec(t.Context(), `WITH given AS (SELECT $1::text, $2::text, $3::timestamptz) `+sql, w.user.String(), session.String(), noon); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range apps {
		id := fleet.NewID[fleet.PushToken]()
		if err := w.apps.Put(t.Context(), schema.SealedPushToken{
			ID: id, User: w.user, Session: session, Hash: []byte(token), Sealed: []byte(fleet.PushPurpose(id) + "\n" + token), Created: noon,
		}, 20); err != nil {
			t.Fatal(err)
		}
		service.Install(token)
	}
	return w
}

// pushed adds a notice of a new sign-in.
func (w *pushWorld) pushed() fleet.Notice {
	w.t.Helper()
	n := fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), User: w.user, Channel: fleet.PushChannel, Kind: "reset_password", Created: noon, Expires: noon.Add(time.Hour),
	}
	n.Sealed = []byte(n.Purpose() + "\n" + `{"code":"123456"}`)
	if err := w.notices.Add(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// state returns what became of a notice, and why; neither the log nor the reason
// may hold a token or a code.
func (w *pushWorld) state(n fleet.Notice) (fleet.NoticeState, string) {
	w.t.Helper()
	list, err := w.notices.List(w.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s schema.NoticeStatus) bool { return s.Notice.ID == n.ID })
	for _, secret := range []string{"123456", "phone-"} {
		if strings.Contains(list[i].Problem, secret) || strings.Contains(w.log.String(), secret) {
			w.t.Errorf("%s is told in %q or in the log: %s", secret, list[i].Problem, w.log)
		}
	}
	return list[i].State, list[i].Problem
}

func TestAPushReachesAllApps(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1", "phone-2")
	n := w.pushed()
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	took := w.fcm.Took()
	var to []string
	for _, m := range took {
		to = append(to, m.Token)
		if m.Data["notice_id"] != n.ID.String() || m.Data["kind"] != n.Kind || m.Android.TTL != "3600s" || m.Notification.Body != spoken[fallback].openApp ||
			m.Notification.Title == "" || strings.Contains(m.Notification.Title, "123456") {
			t.Errorf("it took %+v", m)
		}
	}
	slices.Sort(to)
	if state, _ := w.state(n); state != fleet.NoticeSent || !slices.Equal(to, []string{"phone-1", "phone-2"}) {
		t.Errorf("it is %s, and reached %v", state, to)
	}
}

// An app that is gone is not asked for again; the other one is reached.
func TestAnAppThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1", "phone-2")
	w.fcm.Uninstall("phone-1")
	n := w.pushed()
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	left, err := w.apps.Of(t.Context(), w.user, noon)
	if err != nil || len(left) != 1 || string(left[0].Hash) != "phone-2" {
		t.Errorf("%d apps are left, error %v", len(left), err)
	}
	if state, problem := w.state(n); state != fleet.NoticeSent || problem != "" || len(w.fcm.Took()) != 1 {
		t.Errorf("it is %s for %q", state, problem)
	}
	w.fcm.Uninstall("phone-2")
	n = w.pushed()
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	if state, problem := w.state(n); state != fleet.NoticeFailed || problem != unregistered {
		t.Errorf("it is %s for %q", state, problem)
	}
}

func TestWhatFCMDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   fcm.Fault
		state   fleet.NoticeState
		problem string
		taken   int // messages, after the job has run again
	}{
		"busy":                   {fcm.Fault{Status: 503}, fleet.NoticeQueued, "503", 1},
		"too many":               {fcm.Fault{Status: 429}, fleet.NoticeQueued, "429", 1},
		"refused":                {fcm.Fault{Status: 400}, fleet.NoticeFailed, "400", 0},
		"broken":                 {fcm.Fault{Status: 500}, fleet.NoticeUnknown, "500", 0},
		"gone without an answer": {fcm.Fault{Act: fcm.Take}, fleet.NoticeUnknown, "never said", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPushWorld(t, "phone-1")
			n := w.pushed()
			w.fcm.Plan(c.fault)
			if err := w.work(n); (err != nil) != (c.state == fleet.NoticeQueued) {
				t.Errorf("the job ends with %v", err)
			}
			if state, problem := w.state(n); state != c.state || !strings.Contains(problem, c.problem) {
				t.Errorf("it is %s for %q, want %s for %q", state, problem, c.state, c.problem)
			}
			if err := w.work(n); err != nil {
				t.Fatal(err)
			}
			if got := len(w.fcm.Took()); got != c.taken {
				t.Errorf("%d messages were taken, want %d", got, c.taken)
			}
			if left, err := w.apps.Of(t.Context(), w.user, noon); err != nil || len(left) != 1 {
				t.Errorf("the app is forgotten, error %v", err)
			}
		})
	}
}

func TestPushWithoutAnFCM(t *testing.T) {
	t.Parallel()
	service, err := fcm.New()
	if err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(service)
	credentials, err := service.Credentials(gone.URL)
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	w := newPushWorld(t, "phone-1")
	if w.push, err = NewPush(t.Context(), PushConfig{Credentials: credentials, URL: gone.URL}); err != nil {
		t.Fatal(err)
	}
	n := w.pushed()
	if err := w.work(n); err == nil {
		t.Error("the job is over")
	}
	if state, problem := w.state(n); state != fleet.NoticeQueued || !strings.Contains(problem, "no connection") {
		t.Errorf("it is %s for %q", state, problem)
	}
}

func TestWhatAHubWithoutPushShows(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1")
	var shown []Message
	w.push, w.show = nil, func(_ fleet.Notice, m Message) { shown = append(shown, m) }
	n := w.pushed()
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	if state, _ := w.state(n); state != fleet.NoticeShown || len(shown) != 1 || shown[0].Body != spoken[fallback].openApp {
		t.Errorf("it is %s, and %v is shown", state, shown)
	}
}

// Whoever wants no push of a topic gets none; an officer is offered work all the same.
func TestPushesThatAreNotWanted(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1")
	err := w.preferences.Put(t.Context(), w.user, fleet.FilledForm{
		Version: 1, Form: 1, Body: []byte(`{"notifications":{"trips":["email"],"bookings":["push"]}}`), Changed: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]fleet.NoticeState{"trip_started": fleet.NoticeUnwanted, "offer": fleet.NoticeSent} {
		n := fleet.Notice{ID: fleet.NewID[fleet.Notice](), User: w.user, Channel: fleet.PushChannel, Kind: kind, Created: noon, Expires: noon.Add(time.Minute)}
		if err := w.notices.Add(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if err := w.work(n); err != nil {
			t.Fatal(err)
		}
		if state, problem := w.state(n); state != want {
			t.Errorf("%s is %s for %q, want %s", kind, state, problem, want)
		}
	}
}

func TestPushSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []PushConfig{
		{}, {Credentials: []byte("hunter2")}, {Credentials: []byte(`{"type":"service_account","project_id":"x"}`)},
		{Credentials: []byte(`{"type":"authorized_user","project_id":"x","private_key":"hunter2"}`)},
		{Credentials: []byte(`{"type":"service_account","project_id":"x","private_key":"hunter2","client_email":"x","token_uri":"http://x"}`), URL: "fcm.example"},
	} {
		if _, err := NewPush(t.Context(), c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.Credentials, err)
		}
	}
}
