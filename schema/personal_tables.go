package schema

// officerRole says what a member of the staff, u, is to a person whose data they
// read.
const readerRole = `CASE
	WHEN e.actor_user = $1 THEN 'you'
	WHEN e.actor = 'bootstrap' THEN 'a staff member of role admin'
	WHEN e.actor_user IS NULL THEN 'a partner''s system'
	WHEN u.roles && ARRAY['dispatcher', 'finance', 'compliance', 'admin'] THEN 'a staff member of role ' ||
		(SELECT string_agg(r, ' and ') FROM unnest(u.roles) r WHERE r IN ('dispatcher', 'finance', 'compliance', 'admin'))
	ELSE 'another person' END`

// notTheirWords takes out of an order what says where somebody goes, and what they
// are like.
const notTheirWords = `- '{pickup,destination,stops,notes,discretion,vehicle,preferred,gender,languages,risk,certifications}'::text[]`

const theirBookings = `(SELECT id FROM bookings WHERE user_id = $1` + userNotHeld + `)`

// personalTables are in the order in which an erasure goes through them.
var personalTables = []personal{
	{table: "users", class: classAccount, people: []string{"id"}, section: "account",
		export: `SELECT id, email, email_verified, name, phone, phone_verified, roles, restricted, created, suspended FROM users WHERE id = $1`,
		hidden: "the hash of the password",
		kept:   "the id alone, which stands for a person whom nobody knows; anonymised in the moment that it is asked for"},
	{table: "profiles", class: classAccount, people: []string{"user_id"}, section: "profile",
		export: `SELECT title, language, zone, photo, changed FROM profiles WHERE user_id = $1`,
		erase:  []erasing{deleted(`DELETE FROM profiles WHERE user_id = $1`)}},
	{table: "preferences", class: classAccount, people: []string{"user_id"}, section: "preferences",
		export: `SELECT form, document, changed FROM preferences WHERE user_id = $1`,
		erase:  []erasing{deleted(`DELETE FROM preferences WHERE user_id = $1`)}},
	{table: "questionnaires", class: classAccount, people: []string{"user_id"}, section: "questionnaire",
		export: `SELECT q.form, q.risk_band, q.completed, q.changed, a.key AS step,
				CASE WHEN jsonb_typeof(a.value -> 'sealed') = 'string' THEN NULL ELSE a.value END AS answer,
				decode(CASE WHEN jsonb_typeof(a.value -> 'sealed') = 'string' THEN a.value ->> 'sealed' END, 'base64') AS sealed_answer,
				'questionnaire/' || q.user_id || '/' || a.key AS purpose
			FROM questionnaires q, jsonb_each(q.answers) a WHERE q.user_id = $1 ORDER BY a.key`,
		erase: []erasing{deleted(`DELETE FROM questionnaires WHERE user_id = $1`)}},
	{table: "contacts", class: classAccount, people: []string{"user_id"}, section: "emergency_contacts",
		export: `SELECT id, state, answered, created, changed, sealed AS sealed_contact, 'contact/' || user_id || '/' || id AS purpose
			FROM contacts WHERE user_id = $1 ORDER BY created, id`,
		hidden: "the tokens by which a contact agrees",
		erase:  []erasing{deleted(`DELETE FROM contacts WHERE user_id = $1`)}},
	{table: "contact_invitations", class: classAccount, people: []string{"user_id"},
		hidden: "keyed hashes, of tokens and of other people's addresses",
		erase: []erasing{
			deleted(`DELETE FROM notices WHERE id IN (SELECT notice FROM contact_invitations WHERE user_id = $1)`),
			deleted(`DELETE FROM contact_invitations WHERE user_id = $1 AND declined IS NULL`),
		},
		kept: "that a stranger said no, by a keyed hash, so that nobody writes to them again"},
	{table: "addresses", class: classAccount, people: []string{"user_id"}, section: "addresses",
		export: `SELECT id, created, changed, sealed AS sealed_address, 'address/' || user_id || '/' || id AS purpose
			FROM addresses WHERE user_id = $1 ORDER BY created, id`,
		erase: []erasing{deleted(`DELETE FROM addresses WHERE user_id = $1`)}},
	{table: "exports", class: classExports, people: []string{"user_id"}, section: "exports",
		export: `SELECT id, asked, ready, expires, size FROM exports WHERE user_id = $1 AND ready IS NOT NULL ORDER BY id`,
		erase:  []erasing{deleted(`DELETE FROM exports WHERE user_id = $1`)}},
	{table: "files", class: classAccount, people: []string{"user_id"}, section: "files",
		export: `SELECT id, purpose, name, media_type, size, encode(sha256, 'hex') AS sha256, created
			FROM files WHERE user_id = $1 AND purpose <> 'export' ORDER BY created, id`,
		hidden: "the keys; the content lies beside, under files/",
		erase:  []erasing{{act: "deleted", blobs: true, sql: `DELETE FROM files WHERE user_id = $1 AND (purpose <> 'document' OR NOT ` + wereHeld + `) RETURNING id`}}},
	{table: "linked_identities", class: classAccount, people: []string{"user_id", "subject"}, section: "linked_identities",
		export: `SELECT provider, issuer, subject, email, created, used FROM linked_identities WHERE user_id = $1 ORDER BY id`,
		erase:  []erasing{deleted(`DELETE FROM linked_identities WHERE user_id = $1`)}},
	{table: "officer_wishes", class: classAccount, people: []string{"user_id", "driver_id"}, section: "officer_wishes",
		export: `SELECT wish, wished FROM officer_wishes WHERE user_id = $1 ORDER BY wished`,
		hidden: "which officer it is about",
		erase:  []erasing{deleted(`DELETE FROM officer_wishes WHERE user_id = $1 OR driver_id IN ` + theirDriver)}},
	{table: "consents", class: classConsents, people: []string{"user_id"}, section: "consents",
		export: `SELECT kind, version, encode(hash, 'hex') AS sha256, act, means, address, agent, at FROM consents WHERE user_id = $1 ORDER BY id`,
		erase: []erasing{anonymised(`UPDATE consents SET session = NULL, address = NULL, agent = NULL
			WHERE user_id = $1 AND num_nonnulls(session, address, agent) > 0`)},
		kept: "what was agreed to and when: the proof of it"},

	{table: "user_sessions", class: classSignIn, people: []string{"user_id"}, section: "sessions.csv",
		export: `SELECT id, method, second_factor, agent, address, created, authenticated, used, expires, ended, end_reason
			FROM user_sessions WHERE user_id = $1 ORDER BY created, id`,
		erase: []erasing{deleted(`DELETE FROM user_sessions WHERE user_id = $1` + userNotHeld)}},
	{table: "refresh_tokens", class: classSignIn, hidden: "secrets",
		erase: []erasing{deleted(`DELETE FROM refresh_tokens WHERE session IN (SELECT id FROM user_sessions WHERE user_id = $1)`)}},
	{table: "codes", class: classSignIn, people: []string{"user_id"}, hidden: "secrets",
		erase: []erasing{deleted(`DELETE FROM codes WHERE user_id = $1`)}},
	{table: "totps", class: classSignIn, people: []string{"user_id"}, section: "second_factor",
		export: `SELECT confirmed FROM totps WHERE user_id = $1`, hidden: "the secret",
		erase: []erasing{deleted(`DELETE FROM totps WHERE user_id = $1`)}},
	{table: "push_tokens", class: classSignIn, people: []string{"user_id"}, section: "push",
		export: `SELECT id, session, created FROM push_tokens WHERE user_id = $1 ORDER BY created, id`, hidden: "the tokens: keys to the person's apps",
		erase: []erasing{deleted(`DELETE FROM push_tokens WHERE user_id = $1`)}},
	{table: "tickets", class: classSignIn, hidden: "secrets of half a minute",
		erase: []erasing{deleted(`DELETE FROM tickets WHERE session IN (SELECT id FROM user_sessions WHERE user_id = $1)
			OR share IN (SELECT id FROM shares WHERE user_id = $1)`)}},
	{table: "shares", class: classMessages, people: []string{"user_id"}, section: "shares",
		export: `SELECT id, booking_id, label, until, created, expires, revoked, opened, times FROM shares WHERE user_id = $1 ORDER BY id`,
		hidden: "the links",
		erase:  []erasing{deleted(`DELETE FROM shares WHERE user_id = $1`)}},
	{table: "recovery_codes", class: classSignIn, people: []string{"user_id"}, hidden: "secrets",
		erase: []erasing{deleted(`DELETE FROM recovery_codes WHERE user_id = $1`)}},

	{table: "notices", class: classMessages, people: []string{"user_id"}, section: "notices.csv",
		export: `SELECT id, channel, address, kind, created, state, changed FROM notices WHERE user_id = $1 ORDER BY id`,
		hidden: "what they said: it may have been a code",
		erase: []erasing{
			deleted(`DELETE FROM notices WHERE user_id = $1 AND NOT (kind = '` + farewell + `' AND state IN ('queued', 'sending'))` + userNotHeld),
			anonymised(`UPDATE notices SET address = '' WHERE user_id = $1 AND address <> '' AND NOT (kind = '` + farewell + `' AND state IN ('queued', 'sending'))`),
		}},
	{table: "viewers", class: classAccount, people: []string{"user_id", "staff_id", "granted_by"},
		hidden: "who of the staff they are",
		erase:  []erasing{deleted(`DELETE FROM viewers WHERE user_id = $1 OR staff_id = $1`)}},
	{table: "suspensions", class: classAccount, people: []string{"user_id", "by", "ended_by"}, section: "suspensions",
		export: `SELECT reason, since, ended, end_reason FROM suspensions WHERE user_id = $1 ORDER BY id`,
		hidden: "which of the staff it was",
		erase: []erasing{anonymised(`UPDATE suspensions SET reason = '', end_reason = ''
			WHERE user_id = $1 AND (reason <> '' OR end_reason <> '')` + userNotHeld)},
		kept: "when it was, so that what staff did is accounted for"},
	{table: "approvals", class: classAudit, people: []string{"asked_by", "decided_by", "subject"},
		hidden: "work of the staff",
		kept:   "ids, so that what staff did is accounted for"},
	{table: "tariffs", class: classAudit, people: []string{"set_by"},
		hidden: "work of the staff",
		kept:   "ids, so that what staff did is accounted for"},
	{table: "audit_entries", class: classAudit, people: []string{"actor", "actor_user", "subjects"}, section: "audit.csv",
		export: `SELECT e.at, who || CASE
				WHEN NOT e.subjects @> ARRAY[$1::uuid] THEN ': ' || e.action
				WHEN e.action = 'read_location' THEN ' read your location'
				WHEN e.action = 'read_track' THEN ' read where you had been'
				WHEN starts_with(e.action, 'read_') THEN ' read your ' || substr(e.action, 6)
				ELSE ': ' || e.action END AS what
			FROM (SELECT e.*, ` + readerRole + ` AS who FROM audit_entries e LEFT JOIN users u ON u.id = e.actor_user
			      WHERE e.subjects @> ARRAY[$1::uuid] OR e.actor_user = $1) e ORDER BY e.at, e.id`,
		hidden: "who of the staff it was, and whom else it was about",
		kept:   "the chain: it names people by their ids, which lead to nobody once they are erased"},
	{table: "legal_holds", class: classEvidence, people: []string{"user_id", "device", "placed_by", "released_by"},
		hidden: "a hold that its person knows of may not serve its end",
		kept:   "what was held, and why"},

	{table: "drivers", class: classWork, people: []string{"id", "user_id"}, section: "officer",
		export: `SELECT id, name, alias, tier, tiers, coverage, languages, gender, bio, photo, approved FROM drivers WHERE user_id = $1`,
		erase: []erasing{anonymised(`UPDATE drivers SET name = '', alias = '', coverage = '[]', languages = '{}', gender = '', bio = '', photo = NULL, approved = NULL
			WHERE user_id = $1`)},
		kept: "id and tiers, which the records of work refer to"},
	{table: "documents", class: classWork, people: []string{"driver", "submitted_by", "verified_by"}, section: "officer_documents",
		export: `SELECT kind, number, category, issued, expires, file, status, reason, submitted, verified, reverify
			FROM documents WHERE driver IN ` + theirDriver + ` ORDER BY id`,
		hidden: "who verified them",
		erase: []erasing{anonymised(`UPDATE documents SET number = '', file = NULL, reason = ''
			WHERE driver IN ` + theirDriver + ` AND NOT ` + wereHeld)},
		kept: "that somebody was verified, until when"},
	{table: "vehicle_drivers", class: classWork, people: []string{"driver"}, section: "vehicles_driven.csv",
		export: `SELECT v.registration, d.began, d.ended FROM vehicle_drivers d JOIN vehicles v ON v.id = d.vehicle WHERE d.driver IN ` + theirDriver + ` ORDER BY d.began`,
		kept:   "which car was driven when, under the officer's id"},
	{table: "duty_spells", class: classWork, people: []string{"driver"}, section: "duty.csv",
		export: `SELECT duty, began, ended FROM duty_spells WHERE driver IN ` + theirDriver + ` ORDER BY began`,
		kept:   "hours of work, under the officer's id"},
	{table: "booking_seats", class: classWork, people: []string{"driver_id"}, section: "assignments.csv",
		export: `SELECT s.booking_id, s.state, s.during::text AS during, s.reason, b.status, b.starts, b.minutes
			FROM booking_seats s JOIN bookings b ON b.id = s.booking_id WHERE s.driver_id IN ` + theirDriver + ` ORDER BY b.starts, s.id`,
		hidden: "the principals",
		kept:   "assignments, under the officer's id"},
	{table: "offers", class: classWork, people: []string{"driver_id", "replaces"}, section: "offers.csv",
		hidden: "whom they would replace",
		export: `SELECT id, booking_id, state, reason, created, delivered, expires, ended FROM offers WHERE driver_id IN ` + theirDriver + ` ORDER BY id`,
		kept:   "what was offered, under the officer's id"},
	{table: "booking_exclusions", class: classWork, people: []string{"driver_id"},
		hidden: "it says of others whom they do not want", kept: "with the booking, under the officer's id"},
	{table: "trip_commands", class: classWork, people: []string{"driver_id"}, section: "trip_commands.csv",
		export: `SELECT booking_id, kind, occurred, received, conflict, resolved FROM trip_commands WHERE driver_id IN ` + theirDriver + ` ORDER BY received, id`,
		kept:   "with the booking, under the officer's id"},
	{table: "trip_presence", class: classTrip, people: []string{"driver_id"},
		hidden: "where the principal's places are",
		erase:  []erasing{deleted(`DELETE FROM trip_presence WHERE booking_id IN ` + theirBookings + ` OR driver_id IN ` + theirDriver + ` AND NOT ` + wereHeld)}},

	{table: "quotes", class: classInvoices, people: []string{"user_id"}, section: "quotes",
		export: `SELECT id, created, expires, starts, zone, minutes, asked, price, total, currency FROM quotes WHERE user_id = $1 ORDER BY id`,
		erase:  []erasing{deleted(`DELETE FROM quotes WHERE user_id = $1`)}},
	{table: "booking_series", class: classInvoices, people: []string{"user_id"}, section: "booking_series",
		export: `SELECT id, rule, zone, local_start, minutes, asked, made, created, ended FROM booking_series WHERE user_id = $1 ORDER BY id`,
		erase:  []erasing{anonymised(`UPDATE booking_series SET asked = asked ` + notTheirWords + ` WHERE user_id = $1` + userNotHeld)},
		kept:   "what the bookings refer to"},
	{table: "bookings", class: classInvoices, people: []string{"user_id"}, section: "bookings",
		export: `SELECT id, series_id, status, starts, zone, local_start, minutes, asked - 'preferred' AS asked, price, total, currency, metres, member, created,
				funded, en_route, arrived, started, ended, ended_by, end_reason, fee
			FROM bookings WHERE user_id = $1 ORDER BY id`,
		hidden: "the officers",
		erase:  []erasing{anonymised(`UPDATE bookings SET asked = asked ` + notTheirWords + `, end_reason = '' WHERE user_id = $1` + userNotHeld)},
		kept:   "when, how long, what it cost and how it ended: accounts"},
	{table: "booking_events", class: classInvoices, people: []string{"actor", "actor_id"}, section: "booking_events.csv",
		export: `SELECT e.booking_id, e.seq, e.kind, e.from_status, e.to_status, CASE WHEN e.actor_id = $1 THEN 'you' ELSE e.actor END AS by, e.occurred, e.at
			FROM booking_events e JOIN bookings b ON b.id = e.booking_id WHERE b.user_id = $1 OR e.actor_id = $1 ORDER BY e.booking_id, e.seq`,
		hidden: "what is said of others in it",
		erase:  []erasing{anonymised(`UPDATE booking_events SET data = NULL WHERE data IS NOT NULL AND booking_id IN ` + theirBookings)},
		kept:   "what became of a booking, under ids"},
	{table: "chat_messages", class: classChat, people: []string{"author", "driver_id"}, section: "chat",
		export: `SELECT m.booking_id, m.seq, m.sent, CASE WHEN m.author = $1 THEN 'you' ELSE m.wrote_as END AS by, m.sealed AS sealed_text,
				'chat/' || m.booking_id || '/' || m.author || '/' || m.client_id AS purpose
			FROM chat_messages m JOIN bookings b ON b.id = m.booking_id WHERE m.author = $1 OR b.user_id = $1 ORDER BY m.booking_id, m.seq`,
		hidden: "who the others are, and what they wrote to an officer",
		erase: []erasing{deleted(`DELETE FROM chat_messages m USING bookings b WHERE b.id = m.booking_id
			AND (m.author = $1 OR b.user_id = $1)` + chatNotHeld)}},
	{table: "chat_marks", class: classChat, people: []string{"user_id"}, section: "chat_marks.csv",
		export: `SELECT booking_id, delivered, delivered_at, read, read_at FROM chat_marks WHERE user_id = $1 ORDER BY booking_id`,
		erase: []erasing{deleted(`DELETE FROM chat_marks m USING bookings b WHERE b.id = m.booking_id
			AND (m.user_id = $1 OR b.user_id = $1) AND NOT ` + wereHeld + chatNotHeld)}},
	{table: "booking_ratings", class: classAccount, section: "ratings",
		export: `SELECT r.booking_id, r.stars, r.text, r.rated FROM booking_ratings r JOIN bookings b ON b.id = r.booking_id WHERE b.user_id = $1 ORDER BY r.rated`,
		erase:  []erasing{anonymised(`UPDATE booking_ratings SET text = '' WHERE text <> '' AND booking_id IN ` + theirBookings)},
		kept:   "the stars, which the officer's mean counts"},
	{table: "customers", class: classInvoices, people: []string{"user_id"}, hidden: "an id of Stripe's",
		kept: "until Stripe has deleted the customer: what is called with it goes then"},
	{table: "payment_methods", class: classInvoices, people: []string{"user_id"}, section: "payment_methods",
		export: `SELECT id, brand, last4, exp_month, exp_year, preferred, created, removed FROM payment_methods WHERE user_id = $1 ORDER BY id`,
		hidden: "ids of Stripe's", kept: "likewise"},
	{table: "card_setups", class: classInvoices, people: []string{"user_id"}, hidden: "an id of Stripe's", kept: "likewise"},
	{table: "booking_money", class: classInvoices, people: []string{"user_id"}, hidden: "when the hub looks at it next",
		kept: "with the booking, under ids"},
	{table: "payments", class: classInvoices, people: []string{"user_id"}, section: "payments",
		export: `SELECT id, booking_id, purpose, state, amount, currency, captured, refunded, created, changed FROM payments WHERE user_id = $1 ORDER BY id`,
		hidden: "ids of Stripe's", kept: "accounts, under ids"},
	{table: "refunds", class: classInvoices, people: []string{"user_id", "asked_by"}, section: "refunds",
		export: `SELECT id, payment_id, booking_id, state, amount, currency, created, changed FROM refunds WHERE user_id = $1 ORDER BY id`,
		hidden: "what staff say of it",
		erase:  []erasing{anonymised(`UPDATE refunds SET reason = '' WHERE reason <> '' AND user_id = $1` + userNotHeld)},
		kept:   "accounts, under ids"},
	{table: "debts", class: classInvoices, people: []string{"user_id"}, section: "debts",
		export: `SELECT id, booking_id, state, amount, currency, created, ended FROM debts WHERE user_id = $1 ORDER BY id`,
		kept:   "accounts, under ids"},
	{table: "payment_calls", class: classInvoices, people: nil, hidden: "in payments", kept: "accounts, under ids"},
	{table: "ledger_transactions", class: classInvoices, hidden: "in payments", kept: "the books, under ids"},
	{table: "ledger_entries", class: classInvoices, hidden: "in payments", kept: "the books, under ids"},
	{table: "alerts", class: classMessages, people: []string{"driver_id", "closed_by"},
		hidden: "work of the staff",
		erase: []erasing{anonymised(`UPDATE alerts SET data = NULL, note = '' WHERE closed IS NOT NULL
			AND (booking_id IN ` + theirBookings + ` OR driver_id IN ` + theirDriver + ` AND NOT ` + wereHeld + `)`)},
		kept: "that there was an alert, under ids"},

	{table: "device_status", class: classAccount, people: []string{"device"}, section: "phones_status",
		export: `SELECT device, online, battery, app, received FROM device_status WHERE device IN ` + theirPhones,
		erase:  []erasing{deleted(`DELETE FROM device_status WHERE device IN ` + theirPhones)}},
	{table: "credentials", class: classSignIn, people: []string{"device"}, hidden: "secrets",
		erase: []erasing{deleted(`DELETE FROM credentials WHERE device IN ` + theirPhones)}},
	{table: "sessions", class: classSignIn, people: []string{"device"}, hidden: "what a phone's MQTT client subscribes to",
		erase: []erasing{deleted(`DELETE FROM sessions WHERE device IN ` + theirPhones)}},
	{table: "commands", class: classMessages, people: []string{"device", "driver"}, section: "commands.csv",
		export: `SELECT device, seq, kind, created, expires, acked FROM commands WHERE device IN ` + theirPhones + ` ORDER BY device, seq`,
		hidden: "what they said: offers tell of others",
		erase:  []erasing{deleted(`DELETE FROM commands WHERE device IN ` + theirPhones + deviceNotHeld)}},
	{table: "events", class: classEvidence, people: []string{"device"}, section: "events",
		export: `SELECT device, id, kind, at, received, body FROM events WHERE device IN ` + theirPhones + ` ORDER BY received, id`,
		erase:  []erasing{deleted(`DELETE FROM events WHERE kind NOT IN ('sos', 'sos_cancel') AND device IN ` + theirPhones + deviceNotHeld)},
		kept:   "alarms: evidence of a danger, under the phone's id"},
	{table: "dead_letters", class: classMessages, people: []string{"device"}, section: "unreadable.csv",
		export: `SELECT id, device, topic, reason, encode(payload, 'base64') AS payload, received FROM dead_letters WHERE device IN ` + theirPhones + ` ORDER BY received`,
		erase:  []erasing{deleted(`DELETE FROM dead_letters WHERE device IN ` + theirPhones + deviceNotHeld)}},
	{table: "fence_events", class: classMessages, people: []string{"unit"}, section: "fence_events.csv",
		export: `SELECT e.at, e.kind, e.since, e.lat, e.lon FROM fence_events e WHERE e.unit IN ` + theirDriver + ` OR e.unit IN ` + theirPhones + ` ORDER BY e.at`,
		erase:  []erasing{deleted(`DELETE FROM fence_events WHERE (unit IN ` + theirDriver + ` OR unit IN ` + theirPhones + `)` + unitNotHeld)}},
	{table: "fence_stays", class: classMessages, people: []string{"unit"}, hidden: "in fence_events",
		erase: []erasing{deleted(`DELETE FROM fence_stays WHERE (unit IN ` + theirDriver + ` OR unit IN ` + theirPhones + `)` + unitNotHeld)}},

	{table: "points", class: classOffTrip, people: []string{"device"}, section: "points.csv", kept: "on a trip, for as long as any trip's"},
	{table: "points_quarantine", class: classOffTrip, people: []string{"device"}, section: "points_misdated.csv"},
	{table: "points_far", class: classOffTrip, people: []string{"device"}, hidden: "in points.csv"},
	{table: "points_evidence", class: classEvidence, people: []string{"device"}, hidden: "as the hold", kept: "while the hold stands"},
	{table: "points_rollup", class: classRollups, people: []string{"device"}, section: "points_hourly.csv",
		export: `SELECT device, hour, ok, junk, first_fix, last_fix, max_speed, avg_speed FROM points_hourly WHERE device IN ` + theirPhones + ` ORDER BY device, hour`},
	{table: "device_bindings", class: classWork, people: []string{"device", "driver", "user_id"}, section: "phones_bound.csv",
		export: `SELECT device, began, ended FROM device_bindings WHERE user_id = $1 OR driver IN ` + theirDriver + ` ORDER BY began`,
		kept:   "which phone was whose, under ids: by it what comes late is found"},
	{table: "devices", class: classAccount, people: []string{"id", "driver", "user_id", "gateway"}, section: "phones",
		export: `SELECT id, kind, name, platform, app_version, created FROM devices WHERE id IN ` + theirPhones + ` ORDER BY created`,
		hidden: "keys and credentials",
		erase:  []erasing{anonymised(`UPDATE devices SET name = '', platform = '', app_version = '', external = '', payload_key = NULL WHERE id IN ` + theirPhones)},
		kept:   "the phone's id, which what is kept refers to"},

	{table: "erasures", class: classProof, people: []string{"user_id"}, hidden: "who is erased cannot ask for an export", kept: "the proof itself"},
	{table: "erasure_proofs", class: classProof, hidden: "likewise", kept: "the proof itself"},
}
