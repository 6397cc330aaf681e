package schema_test

import (
	"regexp"
	"slices"
	"testing"

	"armora/schema"
	"armora/schema/schematest"
)

// leadsToSomebody is what columns are called that name a person, an officer or a
// device without a foreign key.
var leadsToSomebody = regexp.MustCompile(`^(user_id|staff_id|asked_by|decided_by|granted_by|placed_by|released_by|closed_by|set_by|submitted_by|verified_by|` +
	`actor|actor_user|actor_id|subjects?|unit|device|driver|driver_id)$`)

// Every table is either in the registry of personal data or said to hold none; and
// whatever leads to somebody is accounted for.
func TestEveryTableIsAccountedFor(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		entries, none := make(map[string]schema.PersonalTable), schema.NotPersonal()
		classes := make(map[string]bool)
		for _, c := range db.Classes() {
			classes[c.Name] = true
			if c.Purpose == "" || c.Basis == "" || c.Period == 0 && c.Ends == "" {
				t.Errorf("class %s lacks its purpose, basis or period", c.Name)
			}
		}
		for _, p := range schema.PersonalTables() {
			entries[p.Table] = p
			if !classes[p.Class] {
				t.Errorf("%s is of class %q, which there is not", p.Table, p.Class)
			}
			if p.Section == "" && p.Hidden == "" {
				t.Errorf("%s is not exported, and nobody says why", p.Table)
			}
		}
		tables := column(ctx, t, db, `
			SELECT t.table_name FROM information_schema.tables t JOIN pg_class c ON c.oid = format('%I.%I', t.table_schema, t.table_name)::regclass
			WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND NOT c.relispartition AND t.table_name NOT LIKE 'river\_%'`)
		if len(tables) < 40 {
			t.Fatalf("there are %d tables: %v", len(tables), tables)
		}
		if db.Timescale() {
			tables = append(tables, "points_rollup") // a continuous aggregate
		}
		for _, table := range tables {
			_, personal := entries[table]
			if why, not := none[table]; personal == not || not && why == "" {
				t.Errorf("table %s: it must be either in the registry of personal data or among those that hold none, with the reason", table)
			}
			if !personal {
				continue
			}
			columns := column(ctx, t, db, `
				SELECT a.attname FROM pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND EXISTS (
					SELECT FROM pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY(c.conkey)
					AND c.confrelid IN ('users'::regclass, 'drivers'::regclass, 'devices'::regclass))`, table)
			for _, name := range column(ctx, t, db, `SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped`, table) {
				if leadsToSomebody.MatchString(name) && table != "erasure_proofs" {
					columns = append(columns, name)
				}
			}
			for _, name := range columns {
				if !slices.Contains(entries[table].People, name) {
					t.Errorf("%s.%s leads to somebody, and the registry of personal data does not know of it", table, name)
				}
			}
		}
		for table := range entries {
			if !slices.Contains(tables, table) {
				t.Errorf("%s is in the registry, and is no table", table)
			}
		}
	})
}
