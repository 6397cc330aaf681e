package schema_test

import (
	"testing"

	"armora/schema/schematest"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	if err := db.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}
