package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// app signs somebody in and registers a token; the first time it makes them.
func app(t *testing.T, db *schema.DB, user fleet.UserID, token string, at time.Time) fleet.UserSessionID {
	t.Helper()
	session := fleet.NewID[fleet.UserSession]()
	for _, sql := range []string{
		`INSERT INTO users (id, email, email_verified, name, roles, created) VALUES ($1::text::uuid, $1::text, $3, 'x', '{driver}', $3) ON CONFLICT DO NOTHING`,
		`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires) VALUES ($2::text::uuid, $1::text::uuid, '', false, '', '', $3, $3, $3, 'infinity')`,
	} {
		if _, err := db.Pool().Exec(t.Context(), `WITH given AS (SELECT $1::text, $2::text, $3::timestamptz) `+sql, user.String(), session.String(), at); err != nil {
			t.Fatal(err)
		}
	}
	must(t, schema.PushTokens{DB: db}.Put(t.Context(), schema.SealedPushToken{
		ID: fleet.NewID[fleet.PushToken](), User: user, Session: session, Hash: []byte(token), Sealed: []byte("sealed " + token), Created: at,
	}, 2))
	return session
}

func TestAnAppIsItsLatestRegistrantsWhileTheyAreSignedIn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, tokens := t.Context(), schema.PushTokens{DB: db}
		ada, bo := fleet.NewID[fleet.User](), fleet.NewID[fleet.User]()
		has := func(user fleet.UserID, want ...string) []schema.SealedPushToken {
			t.Helper()
			got, err := tokens.Of(ctx, user, noon)
			must(t, err)
			if len(got) != len(want) {
				t.Fatalf("%d apps, want %v", len(got), want)
			}
			for i, p := range got {
				if string(p.Hash) != want[i] || string(p.Sealed) != "sealed "+want[i] {
					t.Fatalf("%s, want %v", p.Hash, want)
				}
			}
			return got
		}
		session := app(t, db, ada, "one", noon)
		old := has(ada, "one")[0]
		app(t, db, ada, "two", noon.Add(time.Second))
		app(t, db, bo, "one", noon)
		has(bo, "one")
		has(ada, "two")
		app(t, db, ada, "one", noon.Add(2*time.Second))
		has(bo)
		app(t, db, ada, "three", noon.Add(3*time.Second)) // of three the oldest goes
		has(ada, "three", "one")

		// What the push service said of an earlier registration is not said of this.
		must(t, tokens.Unregistered(ctx, old.ID))
		has(ada, "three", "one")
		wantCode(t, tokens.Delete(ctx, bo, []byte("one")), fleet.CodeNotFound)
		must(t, tokens.Delete(ctx, ada, []byte("one")))
		last := has(ada, "three")[0]
		if session == last.Session {
			t.Error("both apps are in one session")
		}
		_, err := db.Pool().Exec(ctx, `UPDATE user_sessions SET ended = $1 WHERE id = $2`, noon, last.Session.String())
		must(t, err)
		has(ada)
		wantCode(t, tokens.Put(ctx, schema.SealedPushToken{ID: last.ID, User: fleet.NewID[fleet.User](), Session: last.Session, Hash: []byte("x"), Created: noon}, 2), fleet.CodeNotFound)
	})
}

func TestNobodyIsPushedToWithoutAnApp(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, notices := t.Context(), schema.Notices{DB: db}
		user := fleet.NewID[fleet.User]()
		push := func() fleet.Notice {
			n := notice("")
			n.Channel, n.User, n.Sealed = fleet.PushChannel, user, nil
			must(t, notices.Add(ctx, n))
			return n
		}
		session := app(t, db, user, "one", noon)
		n := push()
		got, err := notices.Claim(ctx, n.ID, noon)
		must(t, err)
		if got.User != user || len(got.Sealed) != 0 {
			t.Errorf("claimed %+v", got)
		}
		_, err = db.Pool().Exec(ctx, `UPDATE user_sessions SET ended = $1 WHERE id = $2`, noon, session.String())
		must(t, err)
		push()
		if jobs := column(ctx, t, db, `SELECT args ->> 'id' FROM river_job WHERE kind = 'notice'`); len(jobs) != 1 || jobs[0] != n.ID.String() {
			t.Errorf("jobs %v", jobs)
		}
	})
}

// An offer goes to the officer's apps, and what FCM took is delivered: it ends
// sooner from then on. What else they are told is none of push.
func TestAPushDeliversAnOffer(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, notices, offers := t.Context(), schema.Notices{DB: db}, schema.Offers{DB: db}
		user := newUser(t, db, fleet.RoleDriver)
		driver := newDriver(t, db, user)
		b := newBooking(t, db, newUser(t, db), noon.Add(time.Hour), 1)
		app(t, db, user, "one", noon)
		o := fleet.Offer{
			ID: fleet.NewID[fleet.Offer](), Driver: driver, Seat: b.Seats[0].ID, Created: noon, Expires: noon.Add(fleet.OfferLife),
			From: b.Start.Add(-time.Hour), To: b.End().Add(time.Hour),
		}
		_, err := schema.Bookings{DB: db}.Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			if err := c.Offer(o); err != nil {
				return err
			}
			if err := c.Tell(schema.OfficerMessage{Driver: driver, Kind: "assignment", Expires: o.Expires}); err != nil {
				return err
			}
			return c.Tell(schema.OfficerMessage{Driver: driver, Kind: "offer", Expires: o.Expires, Offer: o.ID})
		})
		must(t, err)
		list, err := notices.List(ctx, fleet.UserID{}, fleet.NoticeID{}, 10)
		must(t, err)
		if len(list) != 1 || list[0].Notice.Kind != "offer" || list[0].Notice.User != user || list[0].Notice.Channel != fleet.PushChannel {
			t.Fatalf("they are told %+v", list)
		}
		expires := func(want time.Time) {
			t.Helper()
			if got, err := offers.Of(ctx, driver, o.ID); err != nil || !got.Expires.Equal(want) {
				t.Errorf("it expires at %s, want %s, error %v", got.Expires, want, err)
			}
		}
		for at, state := range []fleet.NoticeState{fleet.NoticeQueued, fleet.NoticeSent} {
			now := noon.Add(time.Duration(at+1) * time.Second)
			expires(o.Expires)
			n, err := notices.Claim(ctx, list[0].Notice.ID, now)
			must(t, err)
			if n.Offer != o.ID {
				t.Errorf("it brings %s", n.Offer)
			}
			must(t, notices.Finish(ctx, n.ID, state, "", now))
		}
		expires(noon.Add(2*time.Second + fleet.OfferAfterDelivery))
	})
}
