package schema

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// PersonalExport reads all that is known of one person.
type PersonalExport struct {
	DB   *DB
	User fleet.UserID
	// Unseal opens what was sealed for a purpose.
	Unseal func(sealed []byte, purpose string) ([]byte, error)
}

// Section is one file of an export: what a table holds of the person.
type Section struct {
	Name   string // of the file, with its ending
	Table  string
	Class  string
	Hidden string // what is not in it, and why; "": nothing
	Points bool   // it is where the phones were: see Phones
	query  string
}

// Sections lists the files of an export, in order, and the tables that have none.
func (x PersonalExport) Sections() (files, hidden []Section) {
	for i := range personalTables {
		p := &personalTables[i]
		s := Section{Name: p.section, Table: p.table, Class: p.class, Hidden: p.hidden, Points: p.section != "" && p.export == "", query: p.export}
		switch {
		case p.section == "":
			hidden = append(hidden, s)
			continue
		case !strings.Contains(p.section, "."):
			s.Name += ".json"
		}
		files = append(files, s)
	}
	return files, hidden
}

// sealedPrefix begins the name of a column that is sealed for what the column
// purpose says; it holds JSON.
const sealedPrefix = "sealed_"

// Rows calls head with the names of a section's columns, also if it has no row, and
// yield with each row, until one fails. Values are strings,
// ids as well, numbers, booleans, times, nil, or what can be written as JSON. No row
// but one is in memory.
func (x PersonalExport) Rows(ctx context.Context, s Section, head func(columns []string) error, yield func(columns []string, values []any) error) error {
	rows, err := x.DB.pool.Query(ctx, s.query, x.User)
	if err != nil {
		return translate(s.Table, err)
	}
	defer rows.Close()
	var columns []string
	purpose := -1
	for i, f := range rows.FieldDescriptions() {
		if columns = append(columns, f.Name); f.Name == "purpose" && strings.Contains(s.query, sealedPrefix) {
			purpose = i
		}
	}
	names, _, err := x.open(columns, make([]any, len(columns)), purpose)
	if err == nil {
		err = head(names)
	}
	if err != nil {
		return err
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return translate(s.Table, err)
		}
		names, values, err := x.open(columns, values, purpose)
		if err != nil {
			return err
		}
		if err := yield(names, values); err != nil {
			return err
		}
	}
	return translate(s.Table, rows.Err())
}

// open unseals what is sealed in a row, in place of what stands for it in clear.
func (x PersonalExport) open(columns []string, values []any, purpose int) (names []string, clear []any, err error) {
	at := make(map[string]int, len(columns))
	for i, name := range columns {
		if i == purpose {
			continue
		}
		value := values[i]
		if id, ok := value.([16]byte); ok {
			value = fleet.FileID(id).String() // whatever it identifies
		}
		if rest, sealed := strings.CutPrefix(name, sealedPrefix); sealed && purpose >= 0 {
			text, _ := value.([]byte)
			if text == nil {
				continue // it is in clear
			}
			plain, err := x.Unseal(text, fmt.Sprint(values[purpose]))
			if err != nil {
				return nil, nil, err
			}
			name, value = rest, jsonText(plain)
		}
		if i, there := at[name]; there {
			clear[i] = value
			continue
		}
		at[name] = len(names)
		names, clear = append(names, name), append(clear, value)
	}
	return names, clear, nil
}

// jsonText is JSON as it was written.
type jsonText []byte

// MarshalJSON implements json.Marshaler.
func (t jsonText) MarshalJSON() ([]byte, error) { return t, nil }

// PhoneSpell is a time in which a phone was the person's; a zero end is none.
type PhoneSpell struct {
	Device   fleet.DeviceID
	From, To fleet.Millis
}

// Phones lists the phones that were the person's, and when: with them the points
// of an export are read.
func (x PersonalExport) Phones(ctx context.Context) ([]PhoneSpell, error) {
	scan := func(row pgx.CollectableRow) (s PhoneSpell, err error) {
		var from, to *time.Time
		if err := row.Scan(&s.Device, &from, &to); err != nil {
			return s, err
		}
		if from != nil {
			s.From = fleet.MillisOf(*from)
		}
		if to != nil {
			s.To = fleet.MillisOf(*to)
		}
		return s, nil
	}
	return all(ctx, x.DB, "phone", scan, `
		SELECT id, NULL::timestamptz, NULL::timestamptz FROM devices WHERE id IN `+theirPhones+`
		UNION ALL
		SELECT b.device, b.began, b.ended FROM device_bindings b JOIN devices d ON d.id = b.device AND d.kind = 'phone'
		WHERE (b.user_id = $1 OR b.driver IN `+theirDriver+`) AND b.device NOT IN `+theirPhones+`
		ORDER BY 1, 2`, x.User)
}
