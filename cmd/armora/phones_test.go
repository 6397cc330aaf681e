package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/account"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
)

// inside is a hub in the test's own process, with people who are signed in.
type inside struct {
	*hub
	*served
}

func openInside(t *testing.T) inside {
	t.Helper()
	return openInsideOn(t, schematest.PlainDSN(t), t.TempDir())
}

// openInsideOn is a hub on a database and a data folder that may have been another's.
func openInsideOn(t *testing.T, dsn, dir string, changes ...func(*settings)) inside {
	t.Helper()
	set := settings{
		HTTPAddr: "127.0.0.1:0", MQTTAddr: "127.0.0.1:0", MQTTTLSAddr: off, MQTTWSAddr: off, MetricsAddr: off,
		DataDir: dir, DatabaseURL: dsn, KeepPoints: 720 * time.Hour, KeepPhone: 24 * time.Hour,
		AdminToken: testToken, RateLimits: 1, PublicMQTTURL: "mqtt://mqtt.example:1884", ShutdownTimeout: time.Minute,
	}
	for _, change := range changes {
		change(&set)
	}
	h, err := openHub(t.Context(), set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return inside{h, &served{
		t: t, mqtt: h.broker.TCPAddr().String(), api: "http://" + h.api.Addr().String(), token: testToken,
	}}
}

// person makes somebody who is signed in, and returns the API as they see it.
func (h inside) person(roles ...fleet.Role) (api *served, user fleet.UserID, session fleet.UserSession) {
	t := h.t
	t.Helper()
	user = fleet.NewID[fleet.User]()
	now := h.clock.Now()
	err := schema.Users{DB: h.db}.Create(t.Context(), fleet.User{
		ID: user, Email: user.String() + "@example.com", EmailVerified: now, Name: "P", Roles: roles, Created: now,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := h.sessions.Begin(t.Context(), account.SignIn{User: user, Method: fleet.ByPassword, SecondFactor: true})
	if err != nil {
		t.Fatal(err)
	}
	return &served{t: t, mqtt: h.mqtt, api: h.served.api, token: tokens.Access}, user, tokens.Session
}

// enrol makes a phone of whoever api is signed in as.
func (h *served) enrol(known string) sim.Device {
	h.t.Helper()
	body := map[string]any{"name": "My phone", "platform": "android", "app_version": "1.0"}
	if known != "" {
		body["device_id"] = known
	}
	var e struct {
		DeviceID string `json:"device_id"`
		Token    string
		JWKS     string `json:"jwks_url"`
		Topics   struct{ Points string }
	}
	h.read(h.ask("POST", "/api/devices/enrol", body, http.StatusOK), &e)
	if e.Topics.Points != "v1/devices/"+e.DeviceID+"/points" || e.JWKS != h.api+"/.well-known/jwks.json" {
		h.t.Errorf("enrolled as %+v", e)
	}
	return sim.Device{ID: e.DeviceID, Secret: e.Token, Kind: sim.Phone}
}

// kept reports whether the hub has a fix of a device.
func (h *served) kept(device string, at time.Time) bool {
	h.t.Helper()
	for place := range h.stored(device) {
		if place.Fix == at.UnixMilli() {
			return true
		}
	}
	return false
}

func (h inside) onMap(unit fleet.Unit) bool {
	_, ok := h.index.Get(unit)
	return ok
}

func TestARidersPhoneLivesWithItsSessionAndIsNotFollowed(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	rider, user, session := h.person(fleet.RoleRider)
	stranger, _, _ := h.person(fleet.RoleRider)
	phone := rider.enrol("")
	c, _ := rider.dial(phone, 5)
	at := time.Now()
	c.publish(phone, 1, point(at, 0))
	if pk := c.expect(packets.Puback); pk.ReasonCode != 0 {
		t.Errorf("acknowledged with %#x", pk.ReasonCode)
	}
	if h.kept(phone.ID, at) || h.pipeline.Stats().Unfollowed != 1 {
		t.Errorf("a rider's phone was followed: %+v", h.pipeline.Stats())
	}
	id, err := fleet.ParseID[fleet.Device](phone.ID)
	if err != nil || h.onMap(fleet.Unit(id)) {
		t.Errorf("a rider's phone is on the map (%v)", err)
	}
	// Another person's phone is nobody's.
	stranger.ask("POST", "/api/devices/"+phone.ID+"/token", map[string]any{}, http.StatusNotFound)
	stranger.ask("POST", "/api/devices/enrol", map[string]any{"name": "x", "platform": "ios", "device_id": phone.ID}, http.StatusNotFound)
	var next struct{ Token string }
	rider.read(rider.ask("POST", "/api/devices/"+phone.ID+"/token", map[string]any{}, http.StatusCreated), &next)
	renewed := sim.Device{ID: phone.ID, Secret: next.Token}
	other, _ := rider.dial(rider.enrol(""), 4)
	// The session ends, and with it all that it opened.
	if err := h.sessions.End(t.Context(), user, session.ID, fleet.EndedByLogout); err != nil {
		t.Fatal(err)
	}
	c.ended()
	other.ended()
	for _, old := range []sim.Device{phone, renewed} {
		if _, ack := h.dial(old, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
			t.Errorf("after the session: %#x", ack.ReasonCode)
		}
	}
}

func TestAnOfficersPhoneIsFollowedOnDutyAlone(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	officer, user, _ := h.person(fleet.RoleDriver)
	var driver struct{ ID fleet.DriverID }
	h.read(h.ask("POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "shadow", "user_id": user}, http.StatusCreated), &driver)
	phone := officer.enrol("")
	c, _ := officer.dial(phone, 5)
	packet := uint16(0)
	publish := func(at time.Time) {
		t.Helper()
		packet++
		c.publish(phone, packet, point(at, 0))
		if pk := c.expect(packets.Puback); pk.ReasonCode != 0 || pk.PacketID != packet {
			t.Fatalf("acknowledged %d with %#x", pk.PacketID, pk.ReasonCode)
		}
	}
	unit := fleet.Unit(driver.ID)
	expect := func(at time.Time, kept, shown bool, when string) {
		t.Helper()
		if got := h.kept(phone.ID, at); got != kept || h.onMap(unit) != shown {
			t.Errorf("%s: kept %v, on the map %v", when, got, h.onMap(unit))
		}
	}
	duty := func(d fleet.Duty) {
		officer.ask("PUT", "/api/drivers/"+driver.ID.String()+"/duty", map[string]any{"duty": d}, http.StatusNoContent)
	}
	before := time.Now()
	publish(before)
	expect(before, false, false, "before the first shift")
	duty(fleet.OnDuty)
	during := time.Now()
	publish(during)
	expect(during, true, true, "on duty")
	duty(fleet.OnBreak)
	atBreak := time.Now()
	publish(atBreak)
	expect(atBreak, true, true, "on a break")
	duty(fleet.OffDuty)
	expect(atBreak, true, false, "off duty, before anything comes")
	after := time.Now()
	publish(after)
	expect(after, false, false, "off duty")
	// Late: what counts is when it was measured.
	late := during.Add((atBreak.Sub(during)) / 2)
	if late.UnixMilli() == during.UnixMilli() || late.UnixMilli() == atBreak.UnixMilli() {
		late = during.Add(time.Millisecond)
	}
	publish(late)
	if !h.kept(phone.ID, late) {
		t.Error("a late fix from the shift was not kept")
	}
	// An emergency: they are followed whatever their duty says, until it is over.
	raised := officer.help(nil)
	inDanger := time.Now()
	publish(inDanger)
	expect(inDanger, true, true, "off duty, in an emergency")
	ops, _, _ := h.person(fleet.RoleDispatcher)
	ops.ask("POST", "/api/sos/"+raised.ID.String()+"/close", map[string]any{"outcome": "resolved", "note": "safe"}, http.StatusOK)
	safe := time.Now().Add(time.Millisecond)
	publish(safe)
	waitFor(t, "the officer to leave the map", func() bool { return !h.onMap(unit) })
	expect(safe, false, false, "off duty, after an emergency")
}

// Whatever takes something from a person ends what their sessions have opened over
// MQTT, and lets their phones in no more.
func TestWhateverEndsASessionEndsItsPhones(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	const password = "a long enough phrase"
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	for what, end := range map[string]func(p *served, user string){
		"logout": func(p *served, _ string) { p.ask("POST", "/api/auth/logout", nil, http.StatusNoContent) },
		"password": func(p *served, _ string) {
			p.ask("POST", "/api/auth/change-password", map[string]any{"current_password": password, "new_password": "another long phrase"}, http.StatusOK)
		},
		"roles": func(_ *served, user string) {
			h.ask("PUT", "/api/users/"+user+"/roles", map[string]any{"roles": []string{"finance"}, "reason": "x"}, http.StatusOK)
		},
		"suspension": func(_ *served, user string) {
			h.ask("POST", "/api/users/"+user+"/suspend", map[string]any{"reason": "x"}, http.StatusNoContent)
		},
		"erasure": func(p *served, user string) {
			p.ask("POST", "/api/users/erase", map[string]any{"confirm": user + "@example.com"}, http.StatusAccepted)
		},
	} {
		rider, user, _ := h.person(fleet.RoleRider)
		if _, err := h.db.Pool().Exec(t.Context(), `UPDATE users SET password = $2 WHERE id = $1`, user, hash); err != nil {
			t.Fatal(err)
		}
		phone := rider.enrol("")
		c, ack := rider.dial(phone, 5)
		if ack.ReasonCode != 0 {
			t.Fatalf("%s: let in with %#x", what, ack.ReasonCode)
		}
		end(rider, user.String())
		c.ended()
		if _, ack := h.dial(phone, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
			t.Errorf("after %s: %#x", what, ack.ReasonCode)
		}
	}
}

// An officer's own phone says that they go on duty; nobody else's does.
func TestAnOfficerGoesOnDutyByTheirPhone(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	officer, user, _ := h.person(fleet.RoleDriver)
	var driver struct{ ID fleet.DriverID }
	h.read(h.ask("POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "shadow", "user_id": user}, http.StatusCreated), &driver)
	topic := "v1/drivers/" + driver.ID.String() + "/duty"
	var enrolled struct {
		Topics struct{ Duty string }
	}
	h.read(officer.ask("POST", "/api/devices/enrol", map[string]any{"name": "x", "platform": "ios"}, http.StatusOK), &enrolled)
	if enrolled.Topics.Duty != topic {
		t.Errorf("the phone is told %q, want %q", enrolled.Topics.Duty, topic)
	}
	say := func(c *client, packet uint16, duty string, want byte) {
		t.Helper()
		c.publishOn(topic, packet, duty)
		if pk := c.expect(packets.Puback); pk.PacketID != packet || pk.ReasonCode != want {
			t.Errorf("%s is answered for %d with %#x, want %#x", duty, pk.PacketID, pk.ReasonCode, want)
		}
	}
	duty := func() (d fleet.Duty) {
		t.Helper()
		record, err := (schema.Drivers{DB: h.db}).Fitness(t.Context(), driver.ID)
		if err != nil {
			t.Fatal(err)
		}
		return record.Duty
	}
	phone := officer.enrol("")
	c, _ := officer.dial(phone, 5)
	say(c, 1, `{"duty":"on_duty"}`, 0)
	if got := duty(); got != fleet.OnDuty {
		t.Errorf("acknowledged, and %q", got)
	}
	during := time.Now()
	c.publish(phone, 2, point(during, 0))
	c.expect(packets.Puback)
	if !h.kept(phone.ID, during) || !h.onMap(fleet.Unit(driver.ID)) {
		t.Error("on duty, and not followed")
	}
	say(c, 3, `{"duty":"asleep"}`, 0) // a dead letter: sending it again would not help
	say(c, 4, `{"duty":"off_duty"}`, 0)
	if got := duty(); got != fleet.OffDuty || h.onMap(fleet.Unit(driver.ID)) {
		t.Errorf("off duty: %q, on the map %v", got, h.onMap(fleet.Unit(driver.ID)))
	}
	// A late word, and the repeat of one, change nothing.
	say(c, 5, `{"duty":"on_duty","t":`+strconv.FormatInt(during.UnixMilli(), 10)+`}`, 0)
	if got := duty(); got != fleet.OffDuty {
		t.Errorf("by a late word %q", got)
	}

	// Neither another officer's phone, nor a rider's, nor the tracker of the car.
	other, otherUser, _ := h.person(fleet.RoleDriver)
	h.ask("POST", "/api/drivers", map[string]any{"name": "Bo", "tier": "shadow", "user_id": otherUser}, http.StatusCreated)
	rider, _, _ := h.person(fleet.RoleRider)
	var car struct{ ID string }
	h.read(h.ask("POST", "/api/vehicles", map[string]any{"registration": "AR21 ADA"}, http.StatusCreated), &car)
	tracker := h.device(sim.Tracker)
	h.ask("PUT", "/api/devices/"+tracker.ID+"/binding", map[string]any{"vehicle_id": car.ID}, http.StatusNoContent)
	h.ask("PUT", "/api/vehicles/"+car.ID+"/driver", map[string]any{"driver_id": driver.ID}, http.StatusNoContent)
	for _, stranger := range []sim.Device{other.enrol(""), rider.enrol(""), tracker, h.device(sim.Phone)} {
		c, ack := h.dial(stranger, 5)
		if ack.ReasonCode != 0 {
			t.Fatalf("CONNACK %#x", ack.ReasonCode)
		}
		say(c, 1, `{"duty":"on_duty"}`, packets.ErrNotAuthorized.Code)
	}
	if got := duty(); got != fleet.OffDuty {
		t.Errorf("by somebody else's phone %q", got)
	}
}

func TestABindingMovesTheDeviceOnTheMap(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	driver := func(name string) (d struct{ ID fleet.DriverID }) {
		h.read(h.ask("POST", "/api/drivers", map[string]any{"name": name, "tier": "shadow"}, http.StatusCreated), &d)
		return d
	}
	ada, bo := driver("Ada"), driver("Bo")
	phone := h.device(sim.Phone)
	binding := "/api/devices/" + phone.ID + "/binding"
	h.ask("PUT", binding, map[string]any{"driver_id": ada.ID}, http.StatusNoContent)
	report := func(packet uint16) *client {
		t.Helper()
		c, ack := h.dial(phone, 5)
		if ack.ReasonCode != 0 {
			t.Fatalf("CONNACK %#x", ack.ReasonCode)
		}
		c.publish(phone, packet, point(time.Now(), float64(packet)))
		c.expect(packets.Puback)
		return c
	}
	c := report(1)
	if !h.onMap(fleet.Unit(ada.ID)) {
		t.Fatal("not shown as its first driver")
	}
	h.ask("PUT", binding, map[string]any{"driver_id": bo.ID}, http.StatusNoContent)
	c.ended()
	if h.onMap(fleet.Unit(ada.ID)) {
		t.Error("still shown as its first driver")
	}
	c = report(2)
	if !h.onMap(fleet.Unit(bo.ID)) || h.onMap(fleet.Unit(ada.ID)) {
		t.Error("not shown as its second driver alone")
	}
	h.ask("PUT", binding, map[string]any{}, http.StatusNoContent)
	c.ended()
	var history struct {
		Items []struct {
			DriverID fleet.DriverID `json:"driver_id"`
			From, To time.Time
		}
	}
	h.read(h.ask("GET", "/api/devices/"+phone.ID+"/bindings", nil, http.StatusOK), &history)
	if i := history.Items; len(i) != 2 || i[0].DriverID != bo.ID || i[1].DriverID != ada.ID || i[0].To.IsZero() || !i[1].To.Equal(i[0].From) {
		t.Errorf("history %+v", i)
	}
	h.ask("PUT", binding, map[string]any{"vehicle_id": fleet.NewID[fleet.Vehicle]()}, http.StatusUnprocessableEntity)
	h.ask("PUT", binding, map[string]any{"driver_id": fleet.NewID[fleet.Driver]()}, http.StatusUnprocessableEntity)

	// A car's tracker is shown as whoever drives the car.
	var car struct{ ID fleet.VehicleID }
	h.read(h.ask("POST", "/api/vehicles", map[string]any{"registration": "AB12", "driver_id": ada.ID}, http.StatusCreated), &car)
	tracker := h.device(sim.Tracker)
	h.ask("PUT", "/api/devices/"+tracker.ID+"/binding", map[string]any{"vehicle_id": car.ID}, http.StatusNoContent)
	phone = tracker
	c = report(3)
	if !h.onMap(fleet.Unit(ada.ID)) {
		t.Error("the car is not shown as its driver")
	}
	h.ask("PUT", "/api/vehicles/"+car.ID.String()+"/driver", map[string]any{}, http.StatusNoContent)
	c.ended()
	report(4)
	if h.onMap(fleet.Unit(ada.ID)) || !h.onMap(fleet.Unit(car.ID)) {
		t.Error("the car that nobody drives is not shown as itself")
	}
}

func TestOwnTracksIsSetUpByItsApp(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	var made struct{ ID string }
	h.read(h.ask("POST", "/api/devices", map[string]any{"kind": "phone", "name": "x", "format": "owntracks"}, http.StatusCreated), &made)
	h.ask("PUT", "/api/devices/"+made.ID+"/payload-key", map[string]any{"key": "s3cr3t"}, http.StatusNoContent)
	var set struct {
		Config struct {
			Type                            string `json:"_type"`
			Host, Username, Password, Topic string
			PubTopicBase, EncryptionKey     string
			Port                            int
			TLS                             bool
		}
		URL string
		QR  []byte `json:"qr_png"`
	}
	h.read(h.ask("POST", "/api/devices/"+made.ID+"/owntracks", nil, http.StatusCreated), &set)
	c := set.Config
	if c.Type != "configuration" || c.Host != "mqtt.example" || c.Port != 1884 || c.TLS || c.EncryptionKey != "s3cr3t" {
		t.Errorf("config %+v", c)
	}
	if !strings.HasPrefix(string(set.QR), "\x89PNG") {
		t.Error("the code is no PNG")
	}
	inline, err := url.QueryUnescape(strings.TrimPrefix(set.URL, "owntracks:///config?inline="))
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(inline)
	if err != nil {
		t.Fatal(err)
	}
	var same map[string]any
	if err := json.Unmarshal(text, &same); err != nil || same["password"] != c.Password || same["_type"] != c.Type {
		t.Errorf("the URL holds %s (%v)", text, err)
	}
	mqtt, ack := h.dial(sim.Device{ID: c.Username, Secret: c.Password}, 4)
	if ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 4, TopicName: c.PubTopicBase, PacketID: 1,
		Payload: []byte(`{"_type":"location","lat":51.5,"lon":-0.12,"tst":1}`),
	}
	mqtt.encode(pk.PublishEncode)
	mqtt.expect(packets.Puback)
	// Both secrets are good; a third is not given.
	h.ask("POST", "/api/devices/"+made.ID+"/owntracks", nil, http.StatusConflict)
	h.ask("POST", "/api/devices/"+h.device(sim.Phone).ID+"/owntracks", nil, http.StatusUnprocessableEntity)
}
