package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestARequestIsClaimedOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, requests := t.Context(), schema.IdempotentRequests{DB: db}
		id, body, other := []byte("id"), []byte("body"), []byte("other")
		first, second := fleet.NewID[schema.IdempotentRequests](), fleet.NewID[schema.IdempotentRequests]()
		lease := noon.Add(time.Minute)
		want := func(what string, got schema.Claimed, err error, mine, isOther bool, reply string) {
			t.Helper()
			must(t, err)
			if got.Mine != mine || got.Other != isOther || string(got.Reply) != reply {
				t.Errorf("%s: %+v", what, got)
			}
		}
		got, err := requests.Claim(ctx, id, first, body, noon, lease)
		want("the first", got, err, true, false, "")
		got, err = requests.Claim(ctx, id, second, body, noon, lease)
		want("while it is under way", got, err, false, false, "")
		got, err = requests.Claim(ctx, id, second, other, lease, lease.Add(time.Minute))
		want("another body, after the lease", got, err, false, true, "")
		got, err = requests.Claim(ctx, id, second, body, lease, lease.Add(time.Minute))
		want("after the lease", got, err, true, false, "")

		wantCode(t, requests.Finish(ctx, id, first, []byte("late")), fleet.CodeNotFound)
		wantCode(t, requests.Release(ctx, id, first), fleet.CodeNotFound)
		must(t, requests.Release(ctx, id, second))
		got, err = requests.Claim(ctx, id, first, other, noon, lease)
		want("released, it is anybody's", got, err, true, false, "")
		must(t, requests.Finish(ctx, id, first, []byte("reply")))
		wantCode(t, requests.Release(ctx, id, first), fleet.CodeNotFound)
		got, err = requests.Claim(ctx, id, second, other, lease.Add(time.Hour), lease.Add(2*time.Hour))
		want("answered, and the lease long over", got, err, false, false, "reply")
		got, err = requests.Claim(ctx, id, second, body, noon, lease)
		want("answered, and another body", got, err, false, true, "reply")

		tables := schema.Maintenance{DB: db}
		must(t, tables.Retain(ctx, noon.Add(48*time.Hour)))
		got, err = requests.Claim(ctx, id, second, other, noon, lease)
		want("two days later", got, err, false, false, "reply")
		must(t, tables.Retain(ctx, noon.Add(48*time.Hour+time.Second)))
		got, err = requests.Claim(ctx, id, second, body, noon, lease)
		want("forgotten", got, err, true, false, "")
	})
}
