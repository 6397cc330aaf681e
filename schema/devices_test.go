package schema_test

import (
	"maps"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestDevicesCreateGetList(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada Vale", Tier: fleet.Executive}
		vehicle := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA", Driver: driver.ID}
		must(t, schema.Drivers{DB: db}.Create(ctx, driver))
		must(t, schema.Vehicles{DB: db}.Create(ctx, vehicle, noon))
		devices := schema.Devices{DB: db}
		tracker := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Tracker, Name: "FMB920", Format: fleet.FormatTeltonika,
			External: "352093081452251", Vehicle: vehicle.ID, Created: noon}
		phone := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Phone, Name: "Pixel", Driver: driver.ID, Created: noon.Add(time.Second)}
		for _, d := range []fleet.Device{tracker, phone} {
			must(t, devices.Create(ctx, d))
			got, err := devices.Get(ctx, d.ID)
			must(t, err)
			if got != d {
				t.Fatalf("got %+v, want %+v", got, d)
			}
		}
		wantCode(t, devices.Create(ctx, phone), fleet.CodeConflict)
		twin := tracker
		twin.ID = fleet.NewID[fleet.Device]()
		wantCode(t, devices.Create(ctx, twin), fleet.CodeConflict)
		orphan := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Phone, Driver: fleet.NewID[fleet.Driver](), Created: noon}
		wantCode(t, devices.Create(ctx, orphan), fleet.CodeInvalid)
		_, err := devices.Get(ctx, orphan.ID)
		wantCode(t, err, fleet.CodeNotFound)

		first, err := devices.List(ctx, fleet.UserID{}, fleet.DeviceID{}, 1)
		must(t, err)
		second, err := devices.List(ctx, fleet.UserID{}, first[0].ID, 10)
		must(t, err)
		if len(first) != 1 || first[0] != tracker || len(second) != 1 || second[0] != phone {
			t.Fatalf("pages %v and %v", first, second)
		}
	})
}

func TestDriversAndVehicles(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		drivers, vehicles := schema.Drivers{DB: db}, schema.Vehicles{DB: db}
		a := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada Vale", Tier: fleet.Executive}
		b := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Bo Finch", Tier: fleet.Shadow}
		must(t, drivers.Create(ctx, a))
		must(t, drivers.Create(ctx, b))
		wantCode(t, drivers.Create(ctx, a), fleet.CodeConflict)
		got, err := drivers.ByIDs(ctx, []fleet.DriverID{b.ID, fleet.NewID[fleet.Driver](), a.ID})
		must(t, err)
		if len(got) != 2 || got[0] != a || got[1] != b {
			t.Fatalf("by ids: %v", got)
		}
		none, err := drivers.ByIDs(ctx, nil)
		must(t, err)
		rest, err := drivers.List(ctx, a.ID, 5)
		must(t, err)
		if len(none) != 0 || len(rest) != 1 || rest[0] != b {
			t.Fatalf("by no ids: %v; after the first: %v", none, rest)
		}
		one, err := drivers.Get(ctx, b.ID)
		must(t, err)
		if one != b {
			t.Fatalf("got %v", one)
		}
		_, err = drivers.Get(ctx, fleet.NewID[fleet.Driver]())
		wantCode(t, err, fleet.CodeNotFound)

		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA"}
		must(t, vehicles.Create(ctx, car, noon))
		wantCode(t, vehicles.Create(ctx, fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA"}, noon), fleet.CodeConflict)
		back, err := vehicles.Get(ctx, car.ID)
		must(t, err)
		listed, err := vehicles.List(ctx, fleet.VehicleID{}, 5)
		must(t, err)
		if back != car || len(listed) != 1 || listed[0] != car {
			t.Fatalf("got %v and %v, want %v", back, listed, car)
		}
		_, err = vehicles.Get(ctx, fleet.NewID[fleet.Vehicle]())
		wantCode(t, err, fleet.CodeNotFound)
	})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		devices, credentials := schema.Devices{DB: db}, schema.Credentials{DB: db}
		driver := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: "Ada Vale", Tier: fleet.Executive}
		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA", Driver: driver.ID}
		must(t, schema.Drivers{DB: db}.Create(ctx, driver))
		must(t, schema.Vehicles{DB: db}.Create(ctx, car, noon))
		gateway := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Tracker, Name: "gateway",
			Format: fleet.FormatThingsBoard, Vehicle: car.ID, Created: noon}
		child := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Tracker, Name: "child", External: "Device A", Gateway: gateway.ID, Created: noon}
		must(t, devices.Create(ctx, gateway))
		must(t, devices.Create(ctx, child))

		secret := fleet.Credential{ID: fleet.NewID[fleet.Credential](), Device: gateway.ID, Kind: fleet.SecretCredential, Created: noon}
		must(t, credentials.Add(ctx, secret, []byte("hash one")))
		got, err := devices.LoginByHash(ctx, []byte("hash one"))
		must(t, err)
		i := got.Identity
		if i.Device != gateway.ID || i.Kind != fleet.Tracker || i.Format != fleet.FormatThingsBoard ||
			i.Driver != driver.ID || i.Vehicle != car.ID ||
			!maps.Equal(i.Children, map[string]fleet.Child{"Device A": {Device: child.ID, Unit: fleet.Unit(child.ID)}}) {
			t.Fatalf("identity %+v", i)
		}
		units, err := devices.Units(ctx)
		must(t, err)
		if want := (map[fleet.DeviceID]fleet.Unit{gateway.ID: fleet.Unit(driver.ID), child.ID: fleet.Unit(child.ID)}); !maps.Equal(units, want) {
			t.Fatalf("units %v, want %v", units, want)
		}
		if len(got.Credentials) != 1 || got.Credentials[0].Credential != secret || string(got.Credentials[0].Hash) != "hash one" {
			t.Fatalf("credentials %+v", got.Credentials)
		}
		must(t, credentials.Revoke(ctx, gateway.ID, secret.ID, noon))
		_, err = devices.LoginByHash(ctx, []byte("hash one"))
		wantCode(t, err, fleet.CodeNotFound)
		got, err = devices.Login(ctx, gateway.ID)
		must(t, err)
		if len(got.Credentials) != 0 {
			t.Fatalf("a revoked credential still opens the door: %+v", got.Credentials)
		}
		_, err = devices.Login(ctx, fleet.NewID[fleet.Device]())
		wantCode(t, err, fleet.CodeNotFound)
	})
}

func TestCredentialsTwoAtOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		credentials := schema.Credentials{DB: db}
		device, other := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Phone)
		next := func(created, expires time.Time) fleet.Credential {
			return fleet.Credential{ID: fleet.NewID[fleet.Credential](), Device: device, Kind: fleet.SecretCredential, Created: created, Expires: expires}
		}
		first, second := next(noon, noon.Add(time.Hour)), next(noon.Add(time.Minute), time.Time{})
		must(t, credentials.Add(ctx, first, []byte("1")))
		must(t, credentials.Add(ctx, second, []byte("2")))
		wantCode(t, credentials.Add(ctx, next(noon.Add(2*time.Minute), time.Time{}), []byte("3")), fleet.CodeConflict)
		// The first has expired by then.
		third := next(noon.Add(time.Hour), time.Time{})
		must(t, credentials.Add(ctx, third, []byte("3")))

		wantCode(t, credentials.Revoke(ctx, other, second.ID, noon), fleet.CodeNotFound)
		must(t, credentials.Revoke(ctx, device, second.ID, noon.Add(3*time.Hour)))
		must(t, credentials.Revoke(ctx, device, second.ID, noon.Add(4*time.Hour))) // again: the first time stays
		listed, err := credentials.List(ctx, device)
		must(t, err)
		second.Revoked = noon.Add(3 * time.Hour)
		want := []fleet.Credential{first, second, third}
		if len(listed) != 3 || listed[0] != want[0] || listed[1] != want[1] || listed[2] != want[2] {
			t.Fatalf("listed %+v, want %+v", listed, want)
		}
		wantCode(t, credentials.Add(ctx, fleet.Credential{ID: fleet.NewID[fleet.Credential](), Device: fleet.NewID[fleet.Device](),
			Kind: fleet.SecretCredential, Created: noon}, []byte("4")), fleet.CodeNotFound)
	})
}

func TestCredentialsAddedAtOnceCountEachOther(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	device := newDevice(t, db, fleet.Phone)
	results := make(chan error, 8)
	for i := range cap(results) {
		go func() {
			results <- schema.Credentials{DB: db}.Add(t.Context(), fleet.Credential{ID: fleet.NewID[fleet.Credential](), Device: device,
				Kind: fleet.SecretCredential, Created: noon}, []byte{byte(i)})
		}()
	}
	added := 0
	for range cap(results) {
		if err := <-results; err == nil {
			added++
		} else {
			wantCode(t, err, fleet.CodeConflict)
		}
	}
	if added != 2 {
		t.Fatalf("%d live credentials, want 2", added)
	}
}

func TestStatusAndPayloadKey(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		devices := schema.Devices{DB: db}
		device := newDevice(t, db, fleet.Phone)
		_, err := devices.Status(ctx, device)
		wantCode(t, err, fleet.CodeNotFound)
		newer := fleet.Status{Device: device, Online: true, Battery: 0.5, App: "1.4\x002", Received: noon}
		must(t, devices.SetStatus(ctx, newer))
		must(t, devices.SetStatus(ctx, fleet.Status{Device: device, Battery: fleet.Unknown, Received: noon.Add(-time.Minute)}))
		got, err := devices.Status(ctx, device)
		must(t, err)
		newer.App = "1.4\uFFFD2"
		if got != newer {
			t.Fatalf("got %+v, want %+v", got, newer)
		}
		must(t, devices.SetStatus(ctx, fleet.Status{Device: device, Battery: fleet.Unknown, Received: noon.Add(time.Minute)}))
		got, err = devices.Status(ctx, device)
		must(t, err)
		if got.Online || fleet.Known(got.Battery) {
			t.Fatalf("got %+v", got)
		}
		wantCode(t, devices.SetStatus(ctx, fleet.Status{Device: fleet.NewID[fleet.Device](), Received: noon}), fleet.CodeInvalid)

		_, err = devices.PayloadKey(ctx, device)
		wantCode(t, err, fleet.CodeNotFound)
		must(t, devices.SetPayloadKey(ctx, device, []byte{1, 0, 2}))
		key, err := devices.PayloadKey(ctx, device)
		must(t, err)
		if string(key) != "\x01\x00\x02" {
			t.Fatalf("key %x", key)
		}
		must(t, devices.SetPayloadKey(ctx, device, nil))
		_, err = devices.PayloadKey(ctx, device)
		wantCode(t, err, fleet.CodeNotFound)
		wantCode(t, devices.SetPayloadKey(ctx, fleet.NewID[fleet.Device](), []byte{1}), fleet.CodeNotFound)
	})
}
