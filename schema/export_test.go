package schema

import (
	"slices"
	"time"

	"armora/fleet"
)

// WithServersIn looks for the server's binaries in these folders only.
func WithServersIn(folders ...string) PrivateOption {
	return func(o *privateOptions) { o.bins = folders }
}

// WithPatience bounds how long a server that was left running may take to answer.
func WithPatience(d time.Duration) PrivateOption {
	return func(o *privateOptions) { o.patience = d }
}

// LatestVersion is the last migration that this binary knows.
func LatestVersion() int64 { return latestVersion() }

// Encode is the body of the COPY that stores points of one device.
func Encode(points []fleet.Point, device func(fleet.DeviceID) int32) []byte {
	rows := make([]row, len(points))
	for i := range points {
		rows[i] = pack(&points[i], device(points[i].Device))
	}
	slices.SortFunc(rows, compareRows)
	return appendCopy(nil, rows)
}

// CopyStatement is the COPY that takes what Encode gives.
const CopyStatement = `COPY points (` + copyColumns + `) FROM STDIN (FORMAT binary)`

// Record adds entries to the audit log in a transaction of the test's.
var Record = record

// PersonalTable is an entry of the registry of personal data, for tests.
type PersonalTable struct {
	Table, Class, Section, Hidden, Kept string
	People                              []string
	Erased                              bool
}

// PersonalTables lists the registry.
func PersonalTables() (list []PersonalTable) {
	for _, p := range personalTables {
		list = append(list, PersonalTable{
			Table: p.table, Class: p.class, Section: p.section, Hidden: p.hidden, Kept: p.kept, People: p.people, Erased: len(p.erase) > 0,
		})
	}
	return list
}

// NotPersonal lists the tables that say nothing of anybody.
func NotPersonal() map[string]string { return notPersonal }
