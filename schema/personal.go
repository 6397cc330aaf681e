package schema

import (
	"time"

	"armora/fleet"
)

// personal says of a table whose data it holds, of which class that is, how it is
// exported and how it is erased. Every table of the database is in personalTables
// or in notPersonal; a test fails for one that is in neither, and for a column
// that refers to a person, an officer or a device and that people leaves out.
// In each statement $1 is the person.
type personal struct {
	table  string
	class  string   // the name of its class
	people []string // columns that lead to somebody

	section string // in the export, the name of its file: with .csv a table, else JSON; "": not exported
	export  string // selects what the person is given; "" with section: streamed as points
	hidden  string // why something of it, or all, is not in the export

	erase []erasing
	kept  string // why an erasure leaves rows; "": it leaves none, but what a hold keeps
}

// erasing is one statement of an erasure.
type erasing struct {
	act   fleet.ErasureAct
	sql   string
	blobs bool // it returns the ids of files, whose blobs go too
}

func deleted(sql string) erasing    { return erasing{act: fleet.ErasureDeleted, sql: sql} }
func anonymised(sql string) erasing { return erasing{act: fleet.ErasureAnonymised, sql: sql} }

// Whom a person is, as an officer and by their phones: those alone that were
// bound to nobody else.
const (
	theirDriver = `(SELECT id FROM drivers WHERE user_id = $1)`
	theirPhones = `(SELECT d.id FROM devices d JOIN device_bindings b ON b.device = d.id LEFT JOIN drivers o ON o.id = b.driver
		WHERE d.kind = 'phone' GROUP BY d.id HAVING bool_and(coalesce(coalesce(b.user_id, o.user_id) = $1, false)))`
	// wereHeld is whether a hold about the person stands.
	wereHeld = `EXISTS (SELECT FROM legal_holds WHERE released IS NULL AND user_id = $1)`
)

// trips are the times in which people were on a trip: principals, and officers as
// long as their seat was theirs.
const trips = `
	trips AS (
		SELECT b.user_id, b.en_route AS since, coalesce(b.ended, 'infinity') AS until FROM bookings b WHERE b.en_route IS NOT NULL
		UNION ALL
		SELECT o.user_id, b.en_route, coalesce(b.ended, 'infinity')
		FROM booking_seats s JOIN bookings b ON b.id = s.booking_id JOIN drivers o ON o.id = s.driver_id
		WHERE b.en_route IS NOT NULL AND (s.state IN ('committed', 'active') OR s.state = 'released' AND s.reason IN (b.status, 'relieved')))`

// The classes of personal data.
const (
	classAccount  = "account"
	classSignIn   = "sign_in"
	classOffTrip  = "off_trip"
	classTrip     = "trip"
	classVehicle  = "vehicle"
	classEvidence = "sos_evidence"
	classRollups  = "rollups"
	classMessages = "messages"
	classChat     = "chat"
	classWork     = "work"
	classInvoices = "invoices"
	classConsents = "consents"
	classAudit    = "audit"
	classExports  = "exports"
	classProof    = "erasure_proof"
)

const (
	evidenceKept = 7 * 365 * 24 * time.Hour
	// recordsKept is how long the law wants to see what was sold, paid and worked:
	// six years for companies and their taxes (Companies Act 2006, s. 388; Finance
	// Act 1998, Sch. 18, para. 21).
	recordsKept = 6 * 365 * 24 * time.Hour
	// ExportKept is for how long an export can be downloaded.
	ExportKept = 7 * 24 * time.Hour
)

// Classes returns the classes of personal data, with the periods that hold here.
// A legal hold beats each of them.
func (db *DB) Classes() []fleet.DataClass {
	const (
		contract   = "contract: Article 6(1)(b)"
		consent    = "consent: Articles 6(1)(a) and 9(2)(a)"
		interest   = "legitimate interests: Article 6(1)(f)"
		obligation = "legal obligation: Article 6(1)(c)"
		claims     = "legal claims: Articles 6(1)(f) and 9(2)(f)"
		erased     = "until the account is erased"
	)
	keep := db.keep
	return []fleet.DataClass{
		{Name: classAccount, Data: "name, address, telephone, profile, questionnaire, saved places, contacts, files, wishes, phones", Purpose: "to protect the person as they want to be protected", Basis: contract + "; " + consent + " for the questionnaire", Ends: erased},
		{Name: classSignIn, Data: "sessions with their address and app, codes, second factors", Purpose: "to let nobody else in", Basis: contract, Period: keep.Messages, Ends: "counted from the end of the session; codes end with their fifteen minutes, second factors with the account"},
		{Name: classOffTrip, Data: "positions of a person's phone outside a trip", Purpose: "to offer assignments to officers nearby", Basis: contract, Period: keep.Phone},
		{Name: classTrip, Data: "positions of phones on a trip", Purpose: "to protect, and to settle what happened", Basis: contract, Period: keep.Points},
		{Name: classVehicle, Data: "positions of vehicles' trackers", Purpose: "to run the fleet", Basis: interest, Period: keep.Points},
		{Name: classEvidence, Data: "alarms, and positions under a legal hold", Purpose: "evidence of what was a danger to somebody", Basis: claims, Period: evidenceKept, Ends: "positions: until the hold is released"},
		{Name: classRollups, Data: "of each device and hour, how many fixes and how fast; no places", Purpose: "to plan the fleet", Basis: interest, Period: keep.Rollups, Ends: erased},
		{Name: classMessages, Data: "notices, commands, events of devices and fences, what could not be read", Purpose: "to tell people and devices, and to find what went wrong", Basis: contract, Period: keep.Messages},
		{Name: classChat, Data: "what was written on a trip", Purpose: "to agree on the trip", Basis: contract, Period: keep.Messages, Ends: "counted from the end of the trip"},
		{Name: classWork, Data: "officers' documents, duty, cars, offers and seats", Purpose: "to show who worked when, and that they might", Basis: obligation, Period: recordsKept, Ends: "documents: with the account, but for what was verified until when"},
		{Name: classInvoices, Data: "bookings, their prices and what became of them", Purpose: "accounts and taxes", Basis: obligation, Period: recordsKept, Ends: "counted from the end of the booking, or from the issue of a member's invoice; quotes that were not booked go sooner"},
		{Name: classConsents, Data: "what was agreed to, when", Purpose: "to show that it was", Basis: obligation, Ends: "for ever: it says nothing of who it was, once they are erased"},
		{Name: classAudit, Data: "who did what and who looked at whose data, by ids", Purpose: "to show who knew where somebody was", Basis: claims, Period: auditKept},
		{Name: classExports, Data: "exports of all this", Purpose: "to give it to the person", Basis: "legal obligation: Articles 15 and 20", Period: ExportKept},
		{Name: classProof, Data: "that somebody was erased, by their id", Purpose: "to show it, and to do it again after a restore", Basis: "legal obligation: Article 5(2)", Ends: "for ever: it leads to nobody"},
	}
}

// notPersonal are the tables that say nothing of anybody, and why.
var notPersonal = map[string]string{
	"audit_seals":         "hashes of the audit log",
	"audit_tail":          "ids of entries of the audit log",
	"booking_moves":       "the transition table",
	"dispatchers":         "which hub dispatches an area",
	"fences":              "areas that staff drew",
	"organisations":       "companies that pay by invoice; who books for them is in organisation_members",
	"invoice_series":      "the last number of each",
	"goose_db_version":    "migrations",
	"guesses":             "keyed hashes, for a day",
	"idempotent_requests": "sealed under keys that only the callers have, for a day",
	"oidc_flows":          "sealed, and gone with the sign-in that is under way",
	"oidc_tokens_taken":   "keyed hashes, until the tokens expire",
	"partners":            "systems",
	"payment_moves":       "the transition table",
	"points_dirty":        "hours that are to be counted again, for minutes",
	"refund_moves":        "the transition table",
	"signing_keys":        "keys of the hub",
	"stripe_read":         "when Stripe's book was read",
	"vehicles":            "cars; who drives one is in vehicle_drivers, and its driver is none's once erased",
}
