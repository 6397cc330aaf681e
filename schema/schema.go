// Package schema is the hub's only door to PostgreSQL. It holds the migrations
// and every SQL statement of the project, one small type and one file per noun,
// so that a consumer holds only what it needs:
//
//	db, err := schema.Open(ctx, dsn, schema.Options{})
//	err = db.Migrate(ctx)
//	devices := schema.Devices{DB: db}
//	points := schema.NewPoints(db)
//
// The same names exist on plain PostgreSQL 15+ and on TimescaleDB, and answer
// the same; nobody outside this package sees which one it is, nor how a point is
// packed (see pack.go; the view telemetry unpacks it for people).
//
// Errors leave this package translated once: what is missing is a *fleet.Error
// of CodeNotFound, what somebody else was first at CodeConflict, what the data
// itself is to blame for CodeInvalid, and a database that is away, restarting,
// full or too slow CodeUnavailable. No statement calls now(): time is a
// parameter.
package schema
