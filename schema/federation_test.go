package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestSignInsUnderWayAreForgottenWhenTheyAreOver(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, flows := t.Context(), schema.OIDCFlows{DB: db}
		over := noon.Add(time.Minute)
		state, code := []byte("state"), []byte("code")
		must(t, flows.Begin(ctx, schema.OIDCFlow{State: state, Provider: "google", Secrets: []byte{1}, Redirect: "r", Challenge: "c"}, over))
		_, err := flows.Return(ctx, state, "apple", noon)
		wantCode(t, err, fleet.CodeNotFound)
		wantCode(t, flows.Vouch(ctx, state, code, []byte{2}, over), fleet.CodeNotFound) // nobody has come back
		_, err = flows.Return(ctx, state, "google", noon)
		must(t, err)
		_, err = flows.Return(ctx, state, "google", noon)
		wantCode(t, err, fleet.CodeNotFound)
		must(t, flows.Vouch(ctx, state, code, []byte{2}, over))
		wantCode(t, flows.Vouch(ctx, state, []byte("other"), []byte{2}, over), fleet.CodeNotFound)
		must(t, flows.TakeToken(ctx, []byte("token"), over))
		wantCode(t, flows.TakeToken(ctx, []byte("token"), over), fleet.CodeConflict)

		tables := schema.Maintenance{DB: db}
		must(t, tables.Retain(ctx, over))
		_, err = flows.ByCode(ctx, code, noon)
		must(t, err)
		must(t, tables.Retain(ctx, over.Add(time.Second)))
		_, err = flows.ByCode(ctx, code, noon)
		wantCode(t, err, fleet.CodeNotFound)
		must(t, flows.TakeToken(ctx, []byte("token"), over))
	})
}
