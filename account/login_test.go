package account

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// testDevices is a Devices on a database of its own, with a store in front that can
// fail.
type testDevices struct {
	*Devices
	t     *testing.T
	db    *schema.DB
	clock *fleet.ManualClock
	bus   *bus.Bus
	keys  *Keys
	store *flakyStore
}

// flakyStore is the database, with a cable that can be pulled.
type flakyStore struct {
	schema.Devices
	away  atomic.Bool
	asked atomic.Int64
	hold  atomic.Pointer[chan struct{}] // when set, a question waits for it after it was answered
}

func (s *flakyStore) answer(ctx context.Context, ask func() (schema.DeviceLogin, error)) (schema.DeviceLogin, error) {
	s.asked.Add(1)
	if s.away.Load() {
		return schema.DeviceLogin{}, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away"}
	}
	login, err := ask()
	if hold := s.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return schema.DeviceLogin{}, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is slow", Err: ctx.Err()}
		}
	}
	return login, err
}

func (s *flakyStore) Login(ctx context.Context, id fleet.DeviceID) (schema.DeviceLogin, error) {
	return s.answer(ctx, func() (schema.DeviceLogin, error) { return s.Devices.Login(ctx, id) })
}

func (s *flakyStore) LoginByHash(ctx context.Context, hash []byte) (schema.DeviceLogin, error) {
	return s.answer(ctx, func() (schema.DeviceLogin, error) { return s.Devices.LoginByHash(ctx, hash) })
}

func newTestDevices(t *testing.T, db *schema.DB) *testDevices {
	t.Helper()
	d := &testDevices{t: t, db: db, clock: fleet.NewManualClock(noon), bus: &bus.Bus{}}
	d.keys = testKeys(t, db, d.clock, 1)
	var err error
	d.Devices, err = NewDevices(DevicesConfig{
		DB: db, Keyring: testKeyring(t, 1), Keys: d.keys, Bus: d.bus, Clock: d.clock, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	d.store = &flakyStore{Devices: schema.Devices{DB: db}}
	d.remember(d.store)
	return d
}

func (d *testDevices) provision(device fleet.Device) (fleet.Device, string) {
	d.t.Helper()
	if device.Kind == "" {
		device.Kind = fleet.Phone
	}
	device.Name = "test"
	made, secret, err := d.Provision(d.t.Context(), device)
	if err != nil {
		d.t.Fatal(err)
	}
	return made, secret
}

func (d *testDevices) login(username, password string) (fleet.Identity, error) {
	return d.Authenticate(d.t.Context(), fleet.Login{Username: username, Password: password})
}

// expect asserts a login's outcome: "" is success.
func (d *testDevices) expect(code fleet.Code, username, password string) fleet.Identity {
	d.t.Helper()
	identity, err := d.login(username, password)
	checkCode(d.t, code, err)
	return identity
}

func checkCode(t *testing.T, code fleet.Code, err error) {
	t.Helper()
	if (err == nil) != (code == "") || err != nil && fleet.CodeOf(err) != code {
		t.Fatalf("got %v, want code %q", err, code)
	}
}

func TestDeviceLogsInWithItsSecret(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		d := newTestDevices(t, db)
		driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada", Tier: fleet.Executive}
		if err := (schema.Drivers{DB: db}).Create(t.Context(), driver); err != nil {
			t.Fatal(err)
		}
		device, secret := d.provision(fleet.Device{Driver: driver.ID, Format: fleet.FormatOwnTracks, External: "ada"})
		identity := d.expect("", device.ID.String(), secret)
		want := fleet.Identity{
			Device: device.ID, Kind: fleet.Phone, Format: fleet.FormatOwnTracks, External: "ada", Driver: driver.ID,
			Credential: identity.Credential,
		}
		if !reflect.DeepEqual(identity, want) || identity.Credential.IsZero() {
			t.Errorf("got %+v, want %+v", identity, want)
		}
		d.expect(fleet.CodeUnauthenticated, device.ID.String(), "wrong")
		d.expect(fleet.CodeUnauthenticated, device.ID.String(), "")
		d.expect(fleet.CodeUnauthenticated, device.ID.String(), strings.ToUpper(secret))
		d.expect(fleet.CodeUnauthenticated, "", "")
		d.expect(fleet.CodeUnauthenticated, "", secret)
		d.expect(fleet.CodeUnauthenticated, secret, "")
		d.expect(fleet.CodeUnauthenticated, "Ada's phone", secret)
		d.expect(fleet.CodeUnauthenticated, fleet.NewID[fleet.Device]().String(), secret)
		other, _ := d.provision(fleet.Device{})
		d.expect(fleet.CodeUnauthenticated, other.ID.String(), secret)
	})
}

func TestUnknownDeviceAndWrongSecretLookAlike(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, _ := d.provision(fleet.Device{})
	_, wrong := d.login(device.ID.String(), "wrong")
	_, unknown := d.login(fleet.NewID[fleet.Device]().String(), "wrong")
	if !reflect.DeepEqual(wrong, unknown) {
		t.Errorf("%#v is not %#v", wrong, unknown)
	}
}

func TestSecretIsNotInTheDatabase(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d := newTestDevices(t, db)
	_, secret := d.provision(fleet.Device{})
	var found int
	err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM credentials c WHERE c::text LIKE '%' || $1 || '%'
		OR position(convert_to($1, 'UTF8') in c.hash) > 0`, strings.TrimPrefix(secret, deviceSecret)).Scan(&found)
	if err != nil || found != 0 {
		t.Errorf("found %d times, %v", found, err)
	}
}

// The table of where a credential may sit, format by format.
func TestCredentialSitsWhereItsFormatHasIt(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	for _, c := range []struct {
		format                     fleet.Format
		mqttPassword, mqttBare     bool
		httpPassword, httpBare     bool
		mqttToken, mqttCertificate bool
	}{
		{fleet.FormatJSON, true, false, true, false, true, true},
		{fleet.FormatOwnTracks, true, false, true, false, true, true},
		{fleet.FormatFlespi, true, false, true, false, true, true},
		{fleet.FormatThingsBoard, true, true, true, false, true, true},
		{fleet.FormatOsmAnd, false, false, false, true, false, false},
	} {
		t.Run(c.format.String(), func(t *testing.T) {
			device, secret := d.provision(fleet.Device{Format: c.format})
			certificate := selfSigned(t, noon.Add(time.Hour))
			if _, err := d.AddCertificate(t.Context(), device.ID, pemOf(certificate)); err != nil {
				t.Fatal(err)
			}
			token, _, err := d.keys.MintDevice(device.ID, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			id := device.ID.String()
			for name, try := range map[string]struct {
				want bool
				door interface {
					Authenticate(context.Context, fleet.Login) (fleet.Identity, error)
				}
				login fleet.Login
			}{
				"mqtt password":     {c.mqttPassword, d, fleet.Login{Username: id, Password: secret}},
				"mqtt bare secret":  {c.mqttBare, d, fleet.Login{Username: secret}},
				"mqtt token":        {c.mqttToken, d, fleet.Login{Username: id, Password: token}},
				"mqtt certificate":  {c.mqttCertificate, d, fleet.Login{Certificate: certificate}},
				"http password":     {c.httpPassword, d.HTTP(), fleet.Login{Username: id, Password: secret}},
				"http bare secret":  {c.httpBare, d.HTTP(), fleet.Login{Username: secret}},
				"http certificate":  {false, d.HTTP(), fleet.Login{Certificate: certificate}},
				"bare token":        {false, d, fleet.Login{Username: token}},
				"bare id":           {false, d, fleet.Login{Username: id}},
				"bare id over http": {false, d.HTTP(), fleet.Login{Username: id}},
				"secret as both":    {false, d, fleet.Login{Username: secret, Password: secret}},
				"other certificate": {false, d, fleet.Login{Certificate: selfSigned(t, noon.Add(time.Hour))}},
				"certificate, wrong id": {false, d, fleet.Login{
					Certificate: certificate, Username: fleet.NewID[fleet.Device]().String()}},
			} {
				identity, err := try.door.Authenticate(t.Context(), try.login)
				if (err == nil) != try.want || err != nil && fleet.CodeOf(err) != fleet.CodeUnauthenticated {
					t.Errorf("%s: %v, want %v", name, err, try.want)
				}
				if try.want && identity.Device != device.ID {
					t.Errorf("%s: device %v", name, identity.Device)
				}
			}
		})
	}
}

func selfSigned(t *testing.T, until time.Time) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon.Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTwoCredentialsOverlapAndAThirdIsAConflict(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, old := d.provision(fleet.Device{})
	id := device.ID.String()
	d.expect("", id, old) // remembered from here on
	_, fresh, err := d.Rotate(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	oldID := d.expect("", id, old).Credential
	freshID := d.expect("", id, fresh).Credential
	if oldID == freshID {
		t.Error("two secrets are one credential")
	}
	_, _, err = d.Rotate(t.Context(), device.ID)
	checkCode(t, fleet.CodeConflict, err)

	var heard []bus.Revocation
	d.bus.Revocations.Subscribe(func(r bus.Revocation) {
		heard = append(heard, r)
		// Whoever is disconnected comes straight back.
		d.expect(fleet.CodeUnauthenticated, id, old)
	})
	if err := d.Revoke(t.Context(), device.ID, oldID); err != nil {
		t.Fatal(err)
	}
	d.expect("", id, fresh)
	if want := []bus.Revocation{{Device: device.ID, Credential: oldID}}; !reflect.DeepEqual(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
	if _, _, err = d.Rotate(t.Context(), device.ID); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	checkCode(t, fleet.CodeNotFound, d.Revoke(t.Context(), device.ID, fleet.NewID[fleet.Credential]()))
	other, _ := d.provision(fleet.Device{})
	checkCode(t, fleet.CodeNotFound, d.Revoke(t.Context(), other.ID, freshID))
}

func TestRevokingTheLastCredentialShutsTokensOut(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, secret := d.provision(fleet.Device{})
	id := device.ID.String()
	token, expires, err := d.keys.MintDevice(device.ID, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if identity := d.expect("", id, token); !identity.Expires.Equal(expires) || !identity.Credential.IsZero() {
		t.Errorf("got %+v", identity)
	}
	other, _ := d.provision(fleet.Device{})
	d.expect(fleet.CodeUnauthenticated, other.ID.String(), token)
	var heard bus.Revocation
	d.bus.Revocations.Subscribe(func(r bus.Revocation) { heard = r })
	if err := d.Revoke(t.Context(), device.ID, d.expect("", id, secret).Credential); err != nil {
		t.Fatal(err)
	}
	if want := (bus.Revocation{Device: device.ID}); heard != want {
		t.Errorf("heard %v, want %v: all of the device's connections", heard, want)
	}
	d.expect(fleet.CodeUnauthenticated, id, token)
	if _, _, err := d.Rotate(t.Context(), device.ID); err != nil {
		t.Fatal(err)
	}
	d.expect("", id, token)
}

func TestCertificateEndsWithItsValidity(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, _ := d.provision(fleet.Device{})
	certificate := selfSigned(t, noon.Add(time.Hour))
	if _, err := d.AddCertificate(t.Context(), device.ID, pemOf(certificate)); err != nil {
		t.Fatal(err)
	}
	login := fleet.Login{Certificate: certificate, Username: device.ID.String()}
	identity, err := d.Authenticate(t.Context(), login)
	if err != nil || !identity.Expires.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v, %v", identity, err)
	}
	d.clock.Advance(time.Hour)
	_, err = d.Authenticate(t.Context(), login)
	checkCode(t, fleet.CodeUnauthenticated, err)
	for _, bad := range [][]byte{
		nil, []byte("x"), pemOf([]byte("x")), pemOf(certificate), append(pemOf(certificate), "x"...),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: certificate}),
	} {
		_, err := d.AddCertificate(t.Context(), device.ID, bad)
		checkCode(t, fleet.CodeInvalid, err)
	}
}

func TestGatewayKnowsItsChildren(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	gateway, secret := d.provision(fleet.Device{Kind: fleet.Tracker, Format: fleet.FormatThingsBoard})
	child, _ := d.provision(fleet.Device{Kind: fleet.Tracker, Format: fleet.FormatThingsBoard, Gateway: gateway.ID, External: "Device A"})
	want := map[string]fleet.Child{"Device A": {Device: child.ID, Unit: fleet.Unit(child.ID)}}
	if got := d.expect("", secret, "").Children; !reflect.DeepEqual(got, want) {
		t.Errorf("children %v, want %v", got, want)
	}
}

// A gateway that is connected comes back when it speaks for one more, or for one that
// reports for another unit now: it would go on as what it was.
func TestAGatewayLearnsOfItsChildren(t *testing.T) {
	t.Parallel()
	o := newOfficers(t, schematest.Plain(t))
	d := &testDevices{Devices: o.devices, t: t, clock: o.p.clock}
	gateway, secret := d.provision(fleet.Device{Kind: fleet.Tracker, Format: fleet.FormatThingsBoard})
	var revoked []fleet.DeviceID
	o.bus.Revocations.Subscribe(func(r bus.Revocation) { revoked = append(revoked, r.Device) })
	learns := func(what string, unit fleet.Unit) {
		t.Helper()
		if !slices.Contains(revoked, gateway.ID) {
			t.Errorf("%s: the gateway is not told", what)
		}
		revoked = nil
		if got := d.expect("", secret, "").Children["Device A"].Unit; got != unit {
			t.Errorf("%s: the child is %v, want %v", what, got, unit)
		}
	}
	d.expect("", secret, "") // and is remembered
	child, _ := d.provision(fleet.Device{Kind: fleet.Tracker, Format: fleet.FormatThingsBoard, Gateway: gateway.ID, External: "Device A"})
	learns("one more", fleet.Unit(child.ID))
	driver, err := o.Add(t.Context(), "Ada Vale", fleet.Shadow, fleet.UserID{})
	if err != nil {
		t.Fatal(err)
	}
	car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AB12 CDE"}
	if err := (schema.Vehicles{DB: o.p.db}).Create(t.Context(), car, o.p.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := d.Bind(t.Context(), child.ID, fleet.DriverID{}, car.ID); err != nil {
		t.Fatal(err)
	}
	learns("bound", fleet.Unit(car.ID))
	if err := o.Assign(t.Context(), car.ID, driver.ID); err != nil {
		t.Fatal(err)
	}
	learns("driven", fleet.Unit(driver.ID))
}

func TestDevicesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	for name, device := range map[string]fleet.Device{
		"no kind":            {Name: "x"},
		"no name":            {Kind: fleet.Phone, Name: " "},
		"long name":          {Kind: fleet.Phone, Name: strings.Repeat("x", 201)},
		"NUL":                {Kind: fleet.Phone, Name: "a\x00"},
		"format":             {Kind: fleet.Phone, Name: "x", Format: 99},
		"wildcard":           {Kind: fleet.Phone, Name: "x", External: "+"},
		"all":                {Kind: fleet.Phone, Name: "x", External: "#"},
		"two levels":         {Kind: fleet.Phone, Name: "x", External: "a/b"},
		"server's own topic": {Kind: fleet.Phone, Name: "x", External: "$SYS"},
		"control":            {Kind: fleet.Phone, Name: "x", External: "a\nb"},
		"teltonika":          {Kind: fleet.Tracker, Name: "x", Format: fleet.FormatTeltonika},
		"nameless child":     {Kind: fleet.Tracker, Name: "x", Gateway: fleet.NewID[fleet.Device]()},
		"no such gateway":    {Kind: fleet.Tracker, Name: "x", External: "a", Gateway: fleet.NewID[fleet.Device]()},
		"no such driver":     {Kind: fleet.Phone, Name: "x", Driver: fleet.NewID[fleet.Driver]()},
	} {
		if _, _, err := d.Provision(t.Context(), device); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDatabaseAwayIsNeverBadCredentials(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	known, secret := d.provision(fleet.Device{})
	unknown, otherSecret := d.provision(fleet.Device{})
	tb, token := d.provision(fleet.Device{Format: fleet.FormatThingsBoard})
	id := known.ID.String()
	d.expect("", id, secret)
	d.expect("", token, "")

	d.store.away.Store(true)
	d.expect("", id, secret)
	d.expect(fleet.CodeUnavailable, id, "wrong") // it may have been added a moment ago
	d.expect(fleet.CodeUnavailable, unknown.ID.String(), otherSecret)
	d.expect(fleet.CodeUnavailable, fleet.NewID[fleet.Device]().String(), "x")
	d.expect(fleet.CodeUnavailable, otherSecret, "")
	d.expect(fleet.CodeUnauthenticated, "not an id", "x") // nothing to ask about

	d.clock.Advance(Staleness - time.Second)
	d.expect("", id, secret)
	if got := d.expect("", token, "").Device; got != tb.ID {
		t.Errorf("device %v", got)
	}
	var stale dto.Metric
	if err := d.metrics.answers.WithLabelValues("login", "stale_memory").Write(&stale); err != nil {
		t.Fatal(err)
	}
	if n := stale.GetCounter().GetValue(); n != 2 {
		t.Errorf("%v stale answers counted, want 2", n)
	}
	d.clock.Advance(time.Second)
	d.expect(fleet.CodeUnavailable, id, secret)

	d.store.away.Store(false)
	d.expect("", id, secret)
	d.expect(fleet.CodeUnauthenticated, id, "wrong")
}

// Another node's changes are not told on this node's bus.
func TestAnotherNodesChangesAreSeen(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d, other := newTestDevices(t, db), newTestDevices(t, db)
	device, old := d.provision(fleet.Device{})
	id := device.ID.String()
	credential := d.expect("", id, old).Credential
	_, fresh, err := other.Rotate(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.expect("", id, fresh) // at once: what is remembered never says no
	if err := other.Revoke(t.Context(), device.ID, credential); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(Freshness)
	d.expect(fleet.CodeUnauthenticated, id, old) // when the memory has aged, at the latest
}

func TestRevocationFromTheBusIsObeyedAtOnce(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d := newTestDevices(t, db)
	device, secret := d.provision(fleet.Device{})
	credential := d.expect("", device.ID.String(), secret).Credential
	if err := (schema.Credentials{DB: db}).Revoke(t.Context(), device.ID, credential, noon); err != nil {
		t.Fatal(err)
	}
	d.bus.Revocations.Publish(bus.Revocation{Device: device.ID, Credential: credential})
	d.expect(fleet.CodeUnauthenticated, device.ID.String(), secret)
	d.Close()
	d.Close()
}

// A login that read the database before a revocation, and ends after it, must
// not get in, nor leave what it read behind.
func TestRevocationOvertakesALoginOnItsWay(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, secret := d.provision(fleet.Device{})
	id := device.ID.String()
	credentials, err := d.Credentials(t.Context(), device.ID)
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	d.store.hold.Store(&hold)
	outcome := make(chan error)
	asked := d.store.asked.Load()
	go func() {
		_, err := d.login(id, secret)
		outcome <- err
	}()
	waitFor(t, func() bool { return d.store.asked.Load() > asked })
	if err := d.Revoke(t.Context(), device.ID, credentials[0].ID); err != nil {
		t.Fatal(err)
	}
	d.store.hold.Store(nil)
	close(hold)
	checkCode(t, fleet.CodeUnauthenticated, <-outcome)
	d.expect(fleet.CodeUnauthenticated, id, secret)
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it did not happen")
		}
	}
}

// A device that reconnects a thousand times at once costs one question.
func TestLoginsAtOnceAreOneQuestion(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	device, secret := d.provision(fleet.Device{})
	hold := make(chan struct{})
	d.store.hold.Store(&hold)
	var wg sync.WaitGroup
	var started, refused atomic.Int64
	const clients = 1000
	for range clients {
		wg.Go(func() {
			started.Add(1)
			if _, err := d.login(device.ID.String(), secret); err != nil {
				refused.Add(1)
			}
		})
	}
	waitFor(t, func() bool { return started.Load() == clients && d.store.asked.Load() > 0 })
	close(hold)
	wg.Wait()
	if n := d.store.asked.Load(); n > 2 || refused.Load() != 0 {
		t.Errorf("%d questions, %d refused", n, refused.Load())
	}
}

// Many devices at once take turns, so that ingest keeps its connections.
func TestQuestionsTakeTurns(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	var asking, most atomic.Int64
	full := make(chan struct{}) // closed when as many as may ask do
	var once sync.Once
	slow := storeFunc(func(context.Context, fleet.DeviceID) (schema.DeviceLogin, error) {
		now := asking.Add(1)
		defer asking.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if now == lookupConcurrency {
			once.Do(func() { close(full) })
		}
		<-full
		return schema.DeviceLogin{}, &fleet.Error{Code: fleet.CodeNotFound}
	})
	d.remember(slow)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := d.login(fleet.NewID[fleet.Device]().String(), "x"); fleet.CodeOf(err) != fleet.CodeUnauthenticated {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != lookupConcurrency {
		t.Errorf("%d questions at once, want %d", most.Load(), lookupConcurrency)
	}
}

type storeFunc func(context.Context, fleet.DeviceID) (schema.DeviceLogin, error)

func (f storeFunc) Login(ctx context.Context, id fleet.DeviceID) (schema.DeviceLogin, error) {
	return f(ctx, id)
}

func (storeFunc) LoginByHash(context.Context, []byte) (schema.DeviceLogin, error) {
	return schema.DeviceLogin{}, errors.New("not asked")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	d := newTestDevices(t, schematest.Plain(t))
	d.remember(storeFunc(func(_ context.Context, id fleet.DeviceID) (schema.DeviceLogin, error) {
		return schema.DeviceLogin{Identity: fleet.Identity{Device: id}}, nil
	}))
	for range lookupEntries + 100 {
		id := fleet.NewID[fleet.Device]()
		if _, _, err := d.logins.get(t.Context(), string(id[:])); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.logins.answers); n != lookupEntries {
		t.Errorf("%d answers are kept, want %d", n, lookupEntries)
	}
}

func TestPayloadKeyIsSealedAndBoundToItsDevice(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d := newTestDevices(t, db)
	device, _ := d.provision(fleet.Device{Format: fleet.FormatOwnTracks, External: "a"})
	other, _ := d.provision(fleet.Device{Format: fleet.FormatOwnTracks, External: "b"})
	_, err := d.PayloadKey(t.Context(), device.ID)
	checkCode(t, fleet.CodeNotFound, err)
	for _, key := range []string{"s3cr3t", "changed"} {
		if err := d.SetPayloadKey(t.Context(), device.ID, key); err != nil {
			t.Fatal(err)
		}
		if got, err := d.PayloadKey(t.Context(), device.ID); err != nil || string(got) != key {
			t.Fatalf("%q, %v", got, err)
		}
	}
	sealed, err := schema.Devices{DB: db}.PayloadKey(t.Context(), device.ID)
	if err != nil || bytes.Contains(sealed, []byte("changed")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	// Whoever can write to the database still can't give a device another's key.
	if err := (schema.Devices{DB: db}).SetPayloadKey(t.Context(), other.ID, sealed); err != nil {
		t.Fatal(err)
	}
	if got, err := d.PayloadKey(t.Context(), other.ID); err == nil {
		t.Errorf("a moved key opens: %q", got)
	}
	if err := d.SetPayloadKey(t.Context(), device.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, err = d.PayloadKey(t.Context(), device.ID)
	checkCode(t, fleet.CodeNotFound, err)
	checkCode(t, fleet.CodeInvalid, d.SetPayloadKey(t.Context(), device.ID, strings.Repeat("x", 33)))
	checkCode(t, fleet.CodeNotFound, d.SetPayloadKey(t.Context(), fleet.NewID[fleet.Device](), "x"))
}
