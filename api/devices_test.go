package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestDeviceIsProvisionedShownAndLetIn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		driver := as[Driver](t, h.must(201, "POST", "/api/drivers", map[string]any{"name": "Ada", "tier": "executive"}))
		vehicle := as[Vehicle](t, h.must(201, "POST", "/api/vehicles", map[string]any{"registration": "AB12 CDE", "driver_id": driver.ID}))
		body := map[string]any{"kind": "tracker", "name": "Car 1", "format": "teltonika", "external": "352093081452251", "vehicle_id": vehicle.ID}
		a := h.must(201, "POST", "/api/devices", body)
		made := as[created](t, a)
		if a.Header.Get("Location") != "/api/devices/"+made.ID || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.Header)
		}
		identity, err := h.devices.Authenticate(t.Context(), fleet.Login{Username: made.ID, Password: made.Secret})
		if err != nil || identity.Driver != driver.ID || identity.External != "352093081452251" {
			t.Errorf("%+v, %v", identity, err)
		}
		shown := h.must(200, "GET", "/api/devices/"+made.ID, nil)
		if strings.Contains(string(shown.body), made.Secret) || strings.Contains(string(shown.body), "driver_id") {
			t.Errorf("got %s", shown.body)
		}
		if d := as[Device](t, shown); d.Name != "Car 1" || d.Format != fleet.FormatTeltonika || d.VehicleID != vehicle.ID || !d.CreatedAt.Equal(noon) {
			t.Errorf("got %+v", d)
		}
		problem(t, h.do("POST", "/api/devices", body), http.StatusConflict, fleet.CodeConflict)
		problem(t, h.do("POST", "/api/vehicles", map[string]any{"registration": "AB12 CDE"}), http.StatusConflict, fleet.CodeConflict)
		if all := as[page[Vehicle]](t, h.must(200, "GET", "/api/vehicles", nil)); len(all.Items) != 1 || all.Items[0] != vehicle {
			t.Errorf("vehicles %+v", all)
		}
		if all := as[page[Driver]](t, h.must(200, "GET", "/api/drivers", nil)); len(all.Items) != 1 || all.Items[0] != driver {
			t.Errorf("drivers %+v", all)
		}
	})
}

func TestDevicesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, body := range []string{
		`{}`, `[]`, `null`, `{"kind":"phone"}`, `{"kind":"boat","name":"x"}`, `{"kind":"phone","name":""}`,
		`{"kind":"phone","name":" "}`, `{"kind":"phone","name":"x","format":"morse"}`,
		`{"kind":"phone","name":"x","external":"a/b"}`, `{"kind":"phone","name":"x","driver_id":"7"}`,
		`{"kind":"phone","name":"x","driver_id":"` + fleet.NewID[fleet.Driver]().String() + `"}`,
		`{"kind":"phone","name":"x","id":"` + fleet.NewID[fleet.Device]().String() + `"}`,
	} {
		problem(t, h.do("POST", "/api/devices", body), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	if all := as[page[Device]](t, h.must(200, "GET", "/api/devices", nil)); len(all.Items) != 0 || all.Items == nil {
		t.Errorf("devices %+v", all)
	}
}

func TestListsPageByCursor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	want := make([]string, 0, 7)
	for i := range 7 {
		want = append(want, h.device(map[string]any{"kind": "phone", "name": fmt.Sprint(i)}).ID)
	}
	for _, limit := range []int{1, 3, 7, 100} {
		var got []string
		cursor := ""
		for pages := 0; pages < 10; pages++ {
			p := as[page[Device]](t, h.must(200, "GET", fmt.Sprintf("/api/devices?limit=%d&cursor=%s", limit, cursor), nil))
			if len(p.Items) > limit {
				t.Fatalf("%d items on a page of %d", len(p.Items), limit)
			}
			for _, d := range p.Items {
				got = append(got, d.ID.String())
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	for _, limit := range []string{"0", "-1", "1001", "x", "1e2"} {
		problem(t, h.do("GET", "/api/devices?limit="+limit, nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
}

func TestCredentialsRotateAndRevoke(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	made := h.device(nil)
	path := "/api/devices/" + made.ID + "/credentials"
	second := as[created](t, h.must(201, "POST", path, nil))
	problem(t, h.do("POST", path, `{}`), http.StatusConflict, fleet.CodeConflict)
	var revoked []bus.Revocation
	h.bus.Revocations.Subscribe(func(r bus.Revocation) { revoked = append(revoked, r) })
	list := func() []Credential {
		return as[struct{ Items []Credential }](t, h.must(200, "GET", path, nil)).Items
	}
	first := list()[0].ID.String()
	if a := h.must(204, "DELETE", path+"/"+first, nil); len(a.body) != 0 {
		t.Errorf("body %s", a.body)
	}
	if held := list(); len(held) != 2 || held[0].RevokedAt.IsZero() || !held[1].RevokedAt.IsZero() || held[1].ID.String() != second.ID {
		t.Errorf("held %+v", held)
	}
	if len(revoked) != 1 || revoked[0].Credential.String() != first {
		t.Errorf("the bus heard %v", revoked)
	}
	for secret, want := range map[string]fleet.Code{made.Secret: fleet.CodeUnauthenticated, second.Secret: ""} {
		_, err := h.devices.Authenticate(t.Context(), fleet.Login{Username: made.ID, Password: secret})
		if (err == nil) != (want == "") || err != nil && fleet.CodeOf(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	other := h.device(nil)
	problem(t, h.do("DELETE", "/api/devices/"+other.ID+"/credentials/"+second.ID, nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, h.do("POST", path, `{"certificate":"x"}`), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	nobody := "/api/devices/" + fleet.NewID[fleet.Device]().String()
	problem(t, h.do("POST", nobody+"/credentials", `{}`), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, h.do("GET", nobody+"/credentials", nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, h.do("POST", nobody+"/token", `{}`), http.StatusNotFound, fleet.CodeNotFound)
}

func TestTokenLogsItsDeviceIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	made := h.device(nil)
	minted := as[struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}](t, h.must(201, "POST", "/api/devices/"+made.ID+"/token", `{"expires_in":60}`))
	if !minted.ExpiresAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("expires %v", minted.ExpiresAt)
	}
	for _, body := range []any{nil, `{}`} {
		plain := as[struct {
			ExpiresAt time.Time `json:"expires_at"`
		}](t, h.must(201, "POST", "/api/devices/"+made.ID+"/token", body))
		if !plain.ExpiresAt.Equal(noon.Add(tokenLife)) {
			t.Errorf("with the body %v it expires %v", body, plain.ExpiresAt)
		}
	}
	if _, err := h.devices.Authenticate(t.Context(), fleet.Login{Username: made.ID, Password: minted.Token}); err != nil {
		t.Error(err)
	}
	// It is a device's, and opens nothing here.
	r := h.request("GET", "/api/devices", nil)
	r.Header.Set("Authorization", "Bearer "+minted.Token)
	problem(t, h.send(r), http.StatusUnauthorized, fleet.CodeUnauthenticated)
	set := as[struct{ Keys []map[string]string }](t, h.must(200, "GET", "/.well-known/jwks.json", nil))
	if len(set.Keys) != 1 || set.Keys[0]["kty"] != "OKP" || set.Keys[0]["d"] != "" {
		t.Errorf("key set %v", set)
	}
}

func TestCommandsAreQueuedInOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	path := "/api/devices/" + h.device(nil).ID + "/commands"
	for i := range 3 {
		c := as[Command](t, h.must(201, "POST", path, fmt.Sprintf(`{"kind":"say","body":{"n":%d}}`, i)))
		if c.Seq != int64(i+1) || !c.ExpiresAt.Equal(noon.Add(time.Hour)) {
			t.Errorf("got %+v", c)
		}
	}
	first := as[page[Command]](t, h.must(200, "GET", path+"?limit=2", nil))
	rest := as[page[Command]](t, h.must(200, "GET", path+"?limit=2&cursor="+first.Next, nil))
	if len(first.Items) != 2 || len(rest.Items) != 1 || string(rest.Items[0].Body) != `{"n":2}` || rest.Next != "" {
		t.Errorf("got %+v and %+v", first, rest)
	}
	large := `{"kind":"say","body":"` + strings.Repeat("x", 17<<10) + `"}`
	problem(t, h.do("POST", path, large), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	deep := `{"kind":"say","body":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + `}`
	h.must(201, "POST", path, deep)
}

func TestEventsStatusAndDeadLettersAreShown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id, err := fleet.ParseID[fleet.Device](h.device(nil).ID)
	if err != nil {
		t.Fatal(err)
	}
	path := "/api/devices/" + id.String()
	problem(t, h.do("GET", path+"/status", nil), http.StatusNotFound, fleet.CodeNotFound)
	devices, events, letters := schema.Devices{DB: h.db}, schema.Events{DB: h.db}, schema.DeadLetters{DB: h.db}
	if err := devices.SetStatus(t.Context(), fleet.Status{Device: id, Online: true, Battery: fleet.Unknown, App: "1.0", Received: noon}); err != nil {
		t.Fatal(err)
	}
	if s := as[Status](t, h.must(200, "GET", path+"/status", nil)); !s.Online || s.Battery != nil || s.AppVersion != "1.0" {
		t.Errorf("got %+v", s)
	}
	var kinds []string
	for i := range 5 {
		at := noon.Add(time.Duration(i/2) * time.Second) // two share a moment
		e := fleet.Event{ID: fleet.NewID[fleet.Event](), Device: id, Kind: fmt.Sprintf("e%d", i), At: at, Received: at}
		if err := events.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		l := fleet.DeadLetter{ID: fleet.NewID[fleet.DeadLetter](), Device: id, Topic: "t", Reason: e.Kind, Payload: []byte{0xff, 0}, Received: at}
		if err := letters.Add(t.Context(), []fleet.DeadLetter{l}); err != nil {
			t.Fatal(err)
		}
		kinds = append([]string{e.Kind}, kinds...)
	}
	if got := walk(h, path+"/events", func(e Event) string { return e.Kind }); !slices.Equal(got, kinds) {
		t.Errorf("events %v, want %v", got, kinds)
	}
	if got := walk(h, "/api/dead-letters", func(l DeadLetter) string { return l.Reason }); !slices.Equal(got, kinds) {
		t.Errorf("dead letters %v, want %v", got, kinds)
	}
}

// walk reads a list to its end, two at a time.
func walk[T any](h *hub, path string, name func(T) string) (names []string) {
	h.t.Helper()
	cursor := ""
	for range 20 {
		p := as[page[T]](h.t, h.must(200, "GET", withPage(path, cursor), nil))
		for _, item := range p.Items {
			names = append(names, name(item))
		}
		if cursor = p.Next; cursor == "" {
			return names
		}
	}
	h.t.Fatalf("%s has no end", path)
	return nil
}

func TestPayloadKeyIsSet(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	made := h.device(map[string]any{"kind": "phone", "name": "x", "format": "owntracks", "external": "ada"})
	id, err := fleet.ParseID[fleet.Device](made.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.must(204, "PUT", "/api/devices/"+made.ID+"/payload-key", `{"key":"s3cr3t"}`)
	if key, err := h.devices.PayloadKey(t.Context(), id); err != nil || string(key) != "s3cr3t" {
		t.Errorf("%q, %v", key, err)
	}
	a := h.do("PUT", "/api/devices/"+made.ID+"/payload-key", `{"key":"`+strings.Repeat("s3cr3t", 9)+`"}`)
	problem(t, a, http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if strings.Contains(string(a.body), "s3cr3t") {
		t.Errorf("the answer repeats the key: %s", a.body)
	}
}

func withPage(path, cursor string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + "limit=2&cursor=" + cursor
}
