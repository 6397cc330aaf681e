package account

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"armora/files"
	"armora/fleet"
	"armora/schema"
)

// exportIndex is index.json: what each file of an export is, and what is not there.
type exportIndex struct {
	User    fleet.UserID  `json:"user_id"`
	AskedAt time.Time     `json:"asked_at"`
	Classes []exportClass `json:"classes"`
	Files   []exportPart  `json:"files"`
	Hidden  []exportPart  `json:"not_here"`
	Missing []string      `json:"missing_files,omitempty"`
}

type exportClass struct {
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
	Basis   string `json:"basis"`
	Period  string `json:"period"`
}

type exportPart struct {
	File  string `json:"file,omitempty"`
	Of    string `json:"of"`
	Class string `json:"class"`
	Less  string `json:"without,omitempty"`
}

// write writes the ZIP of an export. A row at a time is in memory, and a page of
// points.
func (x *Exports) write(ctx context.Context, e fleet.Export, to io.Writer) error {
	out := zip.NewWriter(to)
	data := schema.PersonalExport{DB: x.store.DB, User: e.User, Unseal: x.keyring.Unseal}
	index := exportIndex{User: e.User, AskedAt: e.Asked}
	for _, c := range x.store.DB.Classes() {
		index.Classes = append(index.Classes, exportClass{Name: c.Name, Purpose: c.Purpose, Basis: c.Basis, Period: PeriodText(c)})
	}
	sections, hidden := data.Sections()
	for _, s := range sections {
		entry, err := x.entry(out, s.Name)
		if err != nil {
			return err
		}
		switch {
		case s.Points:
			err = writePoints(ctx, entry, data, s.Table)
		case path.Ext(s.Name) == ".csv":
			err = writeCSV(ctx, entry, data, s)
		default:
			err = writeJSON(ctx, entry, data, s)
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", s.Table, err)
		}
		index.Files = append(index.Files, exportPart{File: s.Name, Of: s.Table, Class: s.Class, Less: s.Hidden})
	}
	for _, s := range hidden {
		index.Hidden = append(index.Hidden, exportPart{Of: s.Table, Class: s.Class, Less: s.Hidden})
	}
	var err error
	if index.Missing, err = x.writeFiles(ctx, out, e.User); err != nil {
		return err
	}
	entry, err := x.entry(out, "index.json")
	if err != nil {
		return err
	}
	text := json.NewEncoder(entry)
	text.SetIndent("", "  ")
	if err := text.Encode(index); err != nil {
		return err
	}
	return out.Close()
}

func (x *Exports) entry(out *zip.Writer, name string) (io.Writer, error) {
	return out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: x.clock.Now()})
}

// writeFiles adds the person's files. One whose blob is lost does not keep the
// rest from them.
func (x *Exports) writeFiles(ctx context.Context, out *zip.Writer, user fleet.UserID) (missing []string, err error) {
	list, err := x.files.List(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		_, content, err := x.files.Open(ctx, files.Reader{Name: user.String(), User: user}, f.ID)
		if fleet.CodeOf(err) == fleet.CodeUnavailable || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			missing = append(missing, f.ID.String())
			continue
		}
		entry, err := x.entry(out, "files/"+f.ID.String()+extension(f.MediaType))
		if err == nil {
			_, err = io.Copy(entry, content)
		}
		_ = content.Close() // it was only read
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// extension is the ending of a name by which a computer knows what a file is.
func extension(mediaType string) string {
	switch mediaType {
	case "application/pdf":
		return ".pdf"
	case "image/png":
		return ".png"
	case "image/jpeg":
		return ".jpg"
	}
	return ""
}

// writeJSON writes the rows of a section as a list of objects.
func writeJSON(ctx context.Context, out io.Writer, data schema.PersonalExport, s schema.Section) error {
	separator := "[\n"
	var line []byte
	err := data.Rows(ctx, s, func([]string) error { return nil }, func(columns []string, values []any) error {
		line = append(append(line[:0], separator...), '{')
		separator = ",\n"
		for i, name := range columns {
			if i > 0 {
				line = append(line, ',')
			}
			line = append(strconv.AppendQuote(line, name), ':')
			value := values[i]
			if at, ok := value.(time.Time); ok {
				value = at.UTC()
			}
			text, err := json.Marshal(value)
			if err != nil {
				return err
			}
			line = append(line, text...)
		}
		_, err := out.Write(append(line, '}'))
		return err
	})
	if err != nil {
		return err
	}
	if separator == "[\n" {
		_, err = io.WriteString(out, "[]\n")
	} else {
		_, err = io.WriteString(out, "\n]\n")
	}
	return err
}

// writeCSV writes the rows of a section as RFC 4180 with a head line, which is all
// of a section without rows.
func writeCSV(ctx context.Context, out io.Writer, data schema.PersonalExport, s schema.Section) error {
	w := csv.NewWriter(out)
	var line []string
	err := data.Rows(ctx, s, w.Write, func(_ []string, values []any) error {
		line = line[:0]
		for _, value := range values {
			text, err := cell(value)
			if err != nil {
				return err
			}
			line = append(line, text)
		}
		return w.Write(line)
	})
	w.Flush()
	if err != nil {
		return err
	}
	return w.Error()
}

// cell is a value as a field of CSV.
func cell(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return Unformulated(v), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// Unformulated keeps a spreadsheet from computing what somebody else has written.
func Unformulated(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// writePoints writes where the person's phones were, while they were theirs.
func writePoints(ctx context.Context, out io.Writer, data schema.PersonalExport, table string) error {
	spells, err := data.Phones(ctx)
	if err != nil {
		return err
	}
	points := schema.NewPoints(data.DB)
	read := points.Range
	if table != "points" {
		read = points.Quarantined
	}
	w := csv.NewWriter(out)
	if err := w.Write([]string{"device", "time", "lat", "lon", "accuracy_m", "speed_mps", "heading_deg", "altitude_m", "battery", "verdict", "received_at"}); err != nil {
		return err
	}
	var line []string
	for _, s := range spells {
		err := read(ctx, schema.PointQuery{Device: s.Device, From: s.From, To: s.To}, func(p fleet.Point) error {
			line = append(line[:0], s.Device.String(), p.Fix.Time().Format(time.RFC3339Nano), number(p.Lat, 7), number(p.Lon, 7),
				measure(p.Accuracy), measure(p.Speed), measure(p.Heading), measure(p.Altitude), measure(p.Battery),
				p.Verdict.String(), p.Received.Time().Format(time.RFC3339Nano))
			return w.Write(line)
		})
		if err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func number(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// measure is a measurement; one that was not made is empty.
func measure(v float32) string {
	if !fleet.Known(v) {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 32)
}

// PeriodText says for how long the data of a class is kept.
func PeriodText(c fleet.DataClass) string {
	const day = 24 * time.Hour
	var parts []string
	switch {
	case c.Period == 0:
	case c.Period%(365*day) == 0:
		parts = append(parts, fmt.Sprintf("%d years", c.Period/(365*day)))
	case c.Period%day == 0 && c.Period > day:
		parts = append(parts, fmt.Sprintf("%d days", c.Period/day))
	default:
		parts = append(parts, c.Period.String())
	}
	if c.Ends != "" {
		parts = append(parts, c.Ends)
	}
	return strings.Join(parts, "; ")
}
