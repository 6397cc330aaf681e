package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/api"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
	"armora/sim/loopback"
	"armora/sim/smtp"
)

// The database goes away. Somebody calls for help, by HTTP and by MQTT, while the hub
// runs without it, and after it was killed and has started without it; it is killed
// once more. Those who are to be told are told meanwhile, and when the database is
// back, it has all of it once.
func TestHelpComesWithoutADatabaseAndThroughKills(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	server := startPostgreSQL(t, dir)
	mails := smtp.New(smtp.Config{})
	if err := mails.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	h := &served{
		t: t, dir: schematest.Dir(t), mqtt: loopback.Free(t), http: loopback.Free(t), stderr: new(safeBuffer), token: testToken,
		env: []string{"DATABASE_URL=" + server.DSN(), "SMTP_URL=smtp://" + mails.Addr()},
	}
	t.Cleanup(h.cleanUp)
	h.start()
	ada := h.signUp(mails, "ada@example.com")
	phone := ada.enrol("")
	ben := h.signUp(mails, "ben@example.com")
	h.onCall(server.DSN(), ada, ben)
	usual, _ := h.dial(phone, 4)

	if err := server.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	// At QoS 0 on the connection that the phone has, as a press is sent first.
	atOnce := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, ProtocolVersion: 4,
		TopicName: "v1/devices/" + phone.ID + "/events", Payload: []byte(`{"id": "` + fleet.NewID[fleet.SOSCall]().String() + `", "kind": "sos"}`),
	}
	usual.encode(atOnce.PublishEncode)
	waitFor(t, "it to be raised", func() bool { return h.metric("armora_safety_sos_open") == 1 })
	h.unready()
	first := ada.help(nil)
	h.alerted(mails, first)
	h.kill()

	h.startUntil("API")
	if code := h.ready(); code != http.StatusServiceUnavailable {
		t.Errorf("standing by, it says that it is ready: %d", code)
	}
	ada.ask("GET", "/api/users/me", nil, http.StatusServiceUnavailable)
	if got := ada.sos(first.ID); got.Status != fleet.SOSIsRaised {
		t.Errorf("what was raised before the kill is %+v", got)
	}
	for range 2 {
		ben.ask("GET", "/api/sos", nil, http.StatusOK) // is in its timeline, once
	}
	press := fleet.NewID[fleet.SOSCall]()
	if again := ada.help(map[string]any{"id": press, "type": "threat"}); again.ID != first.ID {
		t.Error("it is not joined")
	}
	if _, ack := h.dial(phone, 4); ack.ReasonCode != 3 {
		t.Errorf("a session of points is answered with %#x, which would lose what it has", ack.ReasonCode)
	}
	events := h.dialEvents(phone)
	button := `{"id": "` + fleet.NewID[fleet.SOSCall]().String() + `", "kind": "sos", "body": {"type": "nonsense", "lat": 51.5, "lon": -0.1}}`
	for id := range uint16(2) { // the second is the same press
		events.publishOn("v1/devices/"+phone.ID+"/events", id+1, button)
		events.expect(packets.Puback)
	}
	h.kill()

	h.startUntil("API")
	startPostgreSQL(t, dir)
	waitFor(t, "the hub to be whole", func() bool { return h.ready() == http.StatusOK })
	h.wholeOnce(server.DSN(), first.ID)
	h.knownWhoLooked(server.DSN(), ben, first.ID)
	if text := h.stderr.String(); strings.Contains(text, "ada@") || strings.Contains(text, phone.Secret) {
		t.Error("the log names who was told, or holds a secret")
	}
}

// signUp makes a principal, signed in.
func (h *served) signUp(mails *smtp.Server, email string) *served {
	h.t.Helper()
	before := len(mails.Took())
	h.ask("POST", "/api/auth/register", map[string]any{"email": email, "password": "correct horse battery", "name": "Ada"}, http.StatusAccepted)
	m, err := mails.Wait(h.t.Context(), before)
	if err != nil {
		h.t.Fatal(err)
	}
	var tokens struct {
		Token string `json:"access_token"`
	}
	h.read(h.ask("POST", "/api/auth/verify-email", map[string]any{"email": email, "code": digits.FindString(m.Body)}, http.StatusOK), &tokens)
	return &served{t: h.t, mqtt: h.mqtt, api: h.api, token: tokens.Token}
}

// onCall makes people of ops besides, which puts them into what the hub knows by heart,
// and the first of them into the rota.
func (h *served) onCall(dsn string, people ...*served) {
	h.t.Helper()
	db := h.database(dsn)
	for _, who := range people {
		if _, err := db.Pool().Exec(h.t.Context(), `UPDATE users SET roles = '{rider,dispatcher}' WHERE id = $1`, who.id()); err != nil {
			h.t.Fatal(err)
		}
		// A dispatcher has no role without a second factor.
		if _, err := db.Pool().Exec(h.t.Context(), `UPDATE user_sessions SET second_factor = true WHERE user_id = $1`, who.id()); err != nil {
			h.t.Fatal(err)
		}
	}
	h.ask("PUT", "/api/sos/rota", map[string]any{"steps": []any{map[string]any{"user_id": people[0].id(), "channel": "mail"}}}, http.StatusOK)
}

// id is the id of the account.
func (h *served) id() string {
	h.t.Helper()
	var me struct{ ID string }
	h.read(h.ask("GET", "/api/users/me", nil, http.StatusOK), &me)
	return me.ID
}

// knownWhoLooked checks that it is known who was shown an SOS: from the time without a
// database by its timeline, and from then on by the audit log.
func (h *served) knownWhoLooked(dsn string, who *served, id fleet.SOSID) {
	h.t.Helper()
	db, looked := h.database(dsn), who.id()
	got, err := schema.SOSes{DB: db}.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	seen := slices.DeleteFunc(got.Timeline, func(e fleet.SOSEntry) bool { return e.Kind != fleet.SOSSeen })
	if len(seen) != 1 || seen[0].By != looked {
		h.t.Errorf("seen, by the timeline: %+v", seen)
	}
	for range 2 {
		who.ask("GET", "/api/sos", nil, http.StatusOK)
	}
	entries, err := schema.Audit{DB: db}.List(h.t.Context(), fleet.UserID{}, schema.AuditQuery{Action: "read_sos", Actor: looked, Limit: 10})
	if err != nil || len(entries) != 2 || entries[0].Subject != got.User {
		h.t.Errorf("seen, by the log: %+v, %v", entries, err)
	}
}

func (h *served) database(dsn string) *schema.DB {
	h.t.Helper()
	db, err := schema.Open(h.t.Context(), dsn, schema.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(db.Close)
	return db
}

func (h *served) help(body any) (raised api.SOS) {
	h.t.Helper()
	h.read(h.ask("POST", "/api/sos", body, http.StatusCreated), &raised)
	return raised
}

func (h *served) sos(id fleet.SOSID) (got api.SOS) {
	h.t.Helper()
	h.read(h.ask("GET", "/api/sos/"+id.String(), nil, http.StatusOK), &got)
	return got
}

// alerted waits until all of ops, and the first step of the rota, have been written to.
func (h *served) alerted(mails *smtp.Server, raised api.SOS) {
	h.t.Helper()
	waitFor(h.t, "ops to be told", func() bool { return len(mailed(mails, raised)) >= 3 })
}

// mailed returns the notices of an SOS that came by mail, and how often each did.
func mailed(mails *smtp.Server, raised api.SOS) map[string]int {
	times := make(map[string]int)
	for _, m := range mails.Took() {
		if strings.Contains(m.Body, "Ref. "+raised.Ref) {
			times[m.Header.Get("Message-Id")]++
		}
	}
	return times
}

// written returns which steps of the rota are in a timeline, and how many were told by mail.
func written(timeline []fleet.SOSEntry) (steps []int, byMail int) {
	for i := range timeline {
		e := &timeline[i]
		if e.Kind == fleet.SOSEscalated {
			steps = append(steps, e.Note.Step)
		}
		if e.Told != nil && e.Told.Channel == fleet.MailChannel {
			byMail++
		}
	}
	return steps, byMail
}

// dialEvents connects with the session of a device that carries events alone.
func (h *served) dialEvents(d sim.Device) *client {
	h.t.Helper()
	c := h.rawConn(4)
	connect := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: 4,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: d.ID + "/events", Clean: true, Keepalive: 60,
			UsernameFlag: true, Username: []byte(d.ID), PasswordFlag: true, Password: []byte(d.Secret),
		},
	}
	c.encode(connect.ConnectEncode)
	if ack := c.expect(packets.Connack); ack.ReasonCode != 0 {
		h.t.Fatalf("the session of events is answered with %#x", ack.ReasonCode)
	}
	return c
}

// wholeOnce checks that the database has all of an SOS, once, in a whole chain.
func (h *served) wholeOnce(dsn string, id fleet.SOSID) {
	h.t.Helper()
	table := schema.SOSes{DB: h.database(dsn)}
	var got fleet.SOS
	waitFor(h.t, "the database to have the SOS", func() bool {
		var err error
		got, err = table.Get(h.t.Context(), id)
		return err == nil && len(got.Clients) == 3
	})
	presses := 0
	for i := range got.Timeline {
		if got.Timeline[i].Call != nil {
			presses++
		}
	}
	if presses != 4 || got.Via != "mqtt" || got.Type != fleet.SOSThreat || got.Place == nil {
		h.t.Errorf("%d presses, %s at %v", presses, got.Type, got.Place)
	}
	if broken, err := table.Broken(h.t.Context(), id); err != nil || broken != 0 {
		h.t.Errorf("the chain breaks at %d, %v", broken, err)
	}
	all, err := table.Recent(h.t.Context(), got.Received)
	if err != nil || len(all) != 1 {
		text, _ := json.Marshal(all)
		h.t.Errorf("%v, there are %d: %s", err, len(all), text)
	}
}

// Two hubs on one database. The one on which somebody called for help is killed while it
// calls: the other goes on with the next step, tells nobody again, and has told their
// phone, which is connected to it, to say where it is each second. An acknowledgement
// that comes to it is known to the first when that is back, which calls nobody.
func TestAHubThatIsKilledWhileItCallsIsMadeUpFor(t *testing.T) {
	t.Parallel()
	mails := smtp.New(smtp.Config{})
	if err := mails.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	dsn := schematest.PlainDSN(t)
	env := []string{"DATABASE_URL=" + dsn, "SMTP_URL=smtp://" + mails.Addr(), "ARMORA_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}
	one := serve(t, env...)
	ada := one.signUp(mails, "ada@example.com")
	ben := one.signUp(mails, "ben@example.com")
	one.onCall(dsn, ben, ada)
	two := serve(t, env...) // which knows by heart who is on call
	phone := ada.enrol("")
	c, _ := two.dial(phone, 5)
	commands := "v1/devices/" + phone.ID + "/commands"
	c.follow(commands)

	raised := ada.help(nil)
	one.alerted(mails, raised) // both of ops, and Ben once more, by the first step
	for {
		pk, ok := c.next()
		if !ok {
			t.Fatal("the phone's connection has ended")
		}
		if pk.TopicName == commands && strings.Contains(string(pk.Payload), `"position_rate"`) && strings.Contains(string(pk.Payload), `"hz":1`) {
			break
		}
	}
	table := schema.SOSes{DB: one.database(dsn)}
	waitFor(t, "it to be written down that they were told", func() bool {
		got, err := table.Get(t.Context(), raised.ID)
		_, byMail := written(got.Timeline)
		return err == nil && byMail == 3
	})
	one.kill()

	before := mailed(mails, raised)
	waitFor(t, "the second step, by the other hub", func() bool { return len(mailed(mails, raised)) > 3 })
	at := func(hub, who *served) *served { return &served{t: t, mqtt: hub.mqtt, api: hub.api, token: who.token} }
	if got := at(two, ada).sos(raised.ID); got.Status != fleet.SOSIsRaised {
		t.Errorf("on the other hub it is %s", got.Status)
	}
	at(two, ben).ask("POST", "/api/sos/"+raised.ID.String()+"/acknowledge", nil, http.StatusOK)

	one.start()
	waitFor(t, "the hub that was killed to know it", func() bool { return at(one, ada).sos(raised.ID).Status == fleet.SOSIsAcknowledged })
	at(one, ben).ask("POST", "/api/sos/"+raised.ID.String()+"/close", map[string]any{"outcome": "resolved", "note": "of a test"}, http.StatusOK)
	var got fleet.SOS
	waitFor(t, "the database to have its end", func() (over bool) {
		var err error
		got, err = table.Get(t.Context(), raised.ID)
		return err == nil && got.Over()
	})
	steps, _ := written(got.Timeline)
	for i, step := range steps {
		if step != i+1 {
			t.Errorf("steps are %v", steps)
		}
	}
	after := mailed(mails, raised)
	if len(before) != 3 || len(after) > len(steps)+2 { // both of ops, and whom each step is for
		t.Errorf("%d notices before, %d after %d steps", len(before), len(after), len(steps))
	}
	for id, times := range after {
		if before[id] > 0 && times > 1 {
			t.Errorf("%s was told %d times", id, times)
		}
	}
	if broken, err := table.Broken(t.Context(), raised.ID); err != nil || broken != 0 {
		t.Errorf("the chain breaks at %d, %v", broken, err)
	}
}

// An alarm about an officer of a trip comes to ops in the app, by the hub's own jobs, and
// calls who is on call, until one of them says that they see to it.
func TestAnAlarmComesToOps(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	_, user, _ := h.person(fleet.RoleRider)
	_, driver := h.officer("Cy")
	ops, onCall, _ := h.person(fleet.RoleDispatcher)
	h.ask("PUT", "/api/sos/rota", map[string]any{"steps": []any{map[string]any{"user_id": onCall, "channel": "mail"}}}, http.StatusOK)
	trip := h.assigned(user, driver)
	alarm := fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertApart, Booking: trip, Driver: driver, Raised: h.clock.Now()}
	if err := (schema.Alerts{DB: h.db}).RaiseOf(t.Context(), alarm); err != nil {
		t.Fatal(err)
	}
	var inbox struct {
		Items []struct{ Kind, Title, Text string }
	}
	waitFor(t, "it to be in the app", func() bool {
		ops.read(ops.ask("GET", "/api/users/inbox", nil, http.StatusOK), &inbox)
		return len(inbox.Items) == 1
	})
	if got := inbox.Items[0]; got.Kind != "safety_alarm" || !strings.Contains(got.Title, "apart") || !strings.Contains(got.Text, "Ref. ") {
		t.Errorf("in the app it says %+v", got)
	}
	var due int
	waitFor(t, "the call to be due", func() bool {
		err := h.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'alarm' AND state = 'scheduled' AND args ->> 'step' = '1'`).Scan(&due)
		return err == nil && due == 1
	})
	var seen api.Alert
	ops.read(ops.ask("POST", "/api/alerts/"+alarm.ID.String()+"/acknowledge", nil, http.StatusOK), &seen)
	if seen.AcknowledgedBy != onCall.String() || seen.Steps != 1 {
		t.Errorf("acknowledged: %+v", seen)
	}
}

// A hub stands by for a database that is away, with a snapshot; not for a setting that
// is wrong, another hub's folder, or a database that is there and does not fit.
func TestWhenAHubStandsBy(t *testing.T) {
	t.Parallel()
	with, without := settings{DataDir: t.TempDir()}, settings{DataDir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(with.DataDir, "sos.book"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(code fleet.Code) error { return &fleet.Error{Code: code, Message: "x"} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"away":                 {of(fleet.CodeUnavailable), true},
		"away while closing":   {errors.Join(of(fleet.CodeUnavailable), errors.New("x")), true},
		"a wrong setting":      {of(fleet.CodeInvalid), false},
		"a newer database":     {schema.ErrDatabaseNewer, false},
		"a taken port":         {errors.New("taken"), false},
		"our own does not run": {noDatabase{errors.New("it has ended")}, true},
		"our own is another's": {noDatabase{of(fleet.CodeConflict)}, false},
		"our own does not fit": {noDatabase{of(fleet.CodeInvalid)}, false},
	} {
		if got := with.standsBy(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if without.standsBy(c.err) {
			t.Errorf("%s: it stands by without a snapshot", name)
		}
	}
}
