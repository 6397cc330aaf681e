package schema_test

import (
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestWhatWasToldIsFoundAgain(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, credentials, devices, news := t.Context(), schema.Credentials{DB: db}, schema.Devices{DB: db}, schema.News{DB: db}
		since := noon.Add(time.Hour)
		gateway, tracker := newDevice(t, db, fleet.Tracker), newDevice(t, db, fleet.Tracker)
		child := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Tracker, Name: "van", Gateway: gateway, External: "van 7", Created: noon}
		must(t, devices.Create(ctx, child))
		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AB12 CDE"}
		must(t, schema.Vehicles{DB: db}.Create(ctx, car, noon))
		_, err := devices.Bind(ctx, child.ID, fleet.DriverID{}, car.ID, noon)
		must(t, err)
		first, second := fleet.NewID[fleet.Credential](), fleet.NewID[fleet.Credential]()
		for _, id := range []fleet.CredentialID{first, second} {
			must(t, credentials.Add(ctx, fleet.Credential{ID: id, Device: tracker, Kind: fleet.SecretCredential, Created: noon}, id[:]))
		}
		found := func(want ...schema.Missed) {
			t.Helper()
			got, err := news.Missed(ctx, since)
			must(t, err)
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Errorf("%+v is not among %+v", w, got)
				}
			}
			if len(got) != len(want) {
				t.Errorf("found %+v, want %+v", got, want)
			}
			since = since.Add(time.Hour)
		}
		found()
		must(t, credentials.Revoke(ctx, tracker, first, since))
		found(schema.Missed{Device: tracker, Credential: first})
		must(t, credentials.Revoke(ctx, tracker, second, since)) // the last: what was opened with tokens ends too
		found(schema.Missed{Device: tracker})
		_, _, err = schema.Vehicles{DB: db}.Assign(ctx, car.ID, newDriver(t, db, fleet.UserID{}), since)
		must(t, err)
		found(schema.Missed{Device: child.ID}, schema.Missed{Device: gateway})
		_, err = devices.Bind(ctx, child.ID, fleet.DriverID{}, fleet.VehicleID{}, since)
		must(t, err)
		found(schema.Missed{Device: child.ID}, schema.Missed{Device: gateway})
		user := newUser(t, db, fleet.RoleRider)
		_, err = db.Pool().Exec(ctx, `UPDATE users SET suspended = $2 WHERE id = $1`, user, since)
		must(t, err)
		found(schema.Missed{Account: user})
		_, err = schema.Outbox{DB: db}.Add(ctx, fleet.Command{Device: tracker, Kind: "x", Created: since, Expires: since.Add(time.Hour)})
		must(t, err)
		found(schema.Missed{Outbox: tracker})
	})
}
