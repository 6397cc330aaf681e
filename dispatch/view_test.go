package dispatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

// marks gives every field of what it fills a value of its own, and knows it again
// wherever it turns up: what is shown is known by where it came from, also of
// fields that are added later.
type marks struct {
	n    int
	from map[string]string // by value: the path of the field
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

func (m *marks) mark(path string, value any) {
	m.from[fmt.Sprint(value)] = path
}

func (m *marks) fill(path string, v reflect.Value) {
	m.n++
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Unix(int64(1_800_000_000+m.n), 0).UTC()))
		m.mark(path, v.Interface())
	case v.Type() == rawType:
		v.SetBytes(fmt.Appendf(nil, `"raw %d"`, m.n))
		m.mark(path, string(v.Bytes()))
	case v.Kind() == reflect.Array: // an id
		v.Set(reflect.ValueOf(fleet.NewID[fleet.Booking]()).Convert(v.Type()))
		m.mark(path, v.Interface())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			m.fill(path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		m.fill(path, v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		m.fill(path, v.Index(0))
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text %d", m.n))
		m.mark(path, v.String())
	case v.CanInt():
		v.SetInt(int64(7_000_000 + m.n))
		m.mark(path, v.Int())
	case v.CanFloat():
		v.SetFloat(float64(m.n) / 64.123)
		m.mark(path, v.Float())
	}
}

// shown collects the paths of what turns up in v.
func (m *marks) shown(v reflect.Value, paths map[string]bool) {
	leaf := func(value any) {
		if path, ok := m.from[fmt.Sprint(value)]; ok {
			paths[path] = true
		}
	}
	switch {
	case v.Type() == timeType || v.Kind() == reflect.Array:
		leaf(v.Interface())
	case v.Type() == rawType:
		leaf(string(v.Bytes()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			m.shown(v.Field(i), paths)
		}
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			m.shown(v.Elem(), paths)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			m.shown(v.Index(i), paths)
		}
	case v.Kind() == reflect.String:
		for _, word := range []string{v.String(), strings.TrimPrefix(v.String(), "/api/chat/")} {
			leaf(word)
		}
	case v.CanInt():
		leaf(v.Int())
	case v.CanFloat():
		leaf(v.Float())
	}
}

// What each viewer may see of a booking beside its glimpse; what follows a * is
// that and all within.
const (
	glimpsed    = "b.ID b.Version b.Order.Start b.Order.Zone b.Order.Minutes b.Order.Tier b.Order.Risk"
	toPrincipal = "b.User b.Series b.Seq b.Order* b.Terms.Price b.Terms.Total* b.Terms.Metres b.Created b.Since b.Funded b.EnRoute b.Arrived b.Started b.Ended b.EndedBy b.EndReason b.Fee*"
	toOfficer   = "b.Seq b.Order.LocalStart b.Order.Type b.Order.Level b.Order.Pickup* b.Order.Destination* b.Order.Stops* b.Order.Officers " +
		"b.Order.Certifications b.Order.Languages b.Order.Vehicle b.Order.Notes b.Order.Discretion b.Since b.EnRoute b.Arrived b.Started b.Ended b.EndedBy"
	face = "o.Alias o.Photo o.Licence o.Languages" // of an officer
)

func within(rules, path string) bool {
	return slices.ContainsFunc(strings.Fields(rules), func(rule string) bool {
		stem, all := strings.CutSuffix(rule, "*")
		return path == stem || all && strings.HasPrefix(path, stem+".")
	})
}

// Whatever state a booking is in, nobody is shown what is not theirs to see, and
// principal and officers see each other from acceptance until a day after the end.
func TestNothingLeaksBeforeAcceptanceOrAfterADay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := marks{from: map[string]string{}}
		var b fleet.Booking
		m.fill("b", reflect.ValueOf(&b).Elem())
		b.Seats = nil
		b.Status = rapid.SampledFrom(fleet.BookingStatuses()).Draw(t, "status")
		with := parties{
			principal: fleet.Principal{Name: "Prima Secunda", Photo: fleet.NewID[fleet.File](), Restricted: rapid.Bool().Draw(t, "restricted")},
			officers:  map[fleet.DriverID]fleet.Officer{}, startCode: "the start code", rating: &fleet.Rating{Stars: 5, Text: "the rating"},
		}
		m.mark("p.Photo", with.principal.Photo)
		m.mark("p.Name", "Prima")
		m.mark("p.Whole", with.principal.Name)
		m.mark("code", with.startCode)
		m.mark("rating", "the rating")
		now := time.Unix(1_700_000_000, 0)
		over := rapid.IntRange(-1, 1).Draw(t, "ended") // long ago, just now
		if b.Ended = (time.Time{}); b.Status.Ended() {
			b.Ended = now.Add(-sharedAfter - time.Duration(over)*time.Second)
		}
		shared := !b.Status.Ended() || over < 0
		assigned := map[string]bool{} // seats whose officer is
		var drivers []fleet.DriverID
		for i := range rapid.IntRange(1, 3).Draw(t, "seats") {
			s := fleet.Seat{ID: fleet.NewID[fleet.Seat](), Number: i + 1, Vehicle: fleet.NewID[fleet.Vehicle]()}
			s.State = rapid.SampledFrom([]fleet.SeatState{fleet.SeatOpen, fleet.SeatHeld, fleet.SeatCommitted, fleet.SeatActive, fleet.SeatReleased}).Draw(t, "seat")
			s.Reason = rapid.SampledFrom([]string{"", "completed", "cancelled", "relieved", string(b.Status)}).Draw(t, "reason")
			prefix := fmt.Sprintf("s%d", i)
			if s.State != fleet.SeatOpen {
				s.Driver = fleet.NewID[fleet.Driver]()
				var o fleet.Officer
				m.fill(prefix+"o", reflect.ValueOf(&o).Elem())
				m.mark(prefix, s.Driver)
				with.officers[s.Driver] = o
			}
			m.mark(prefix+"v", s.Vehicle)
			assigned[prefix] = s.State == fleet.SeatCommitted || s.State == fleet.SeatActive ||
				s.State == fleet.SeatReleased && b.Status.Ended() && s.Reason == string(b.Status)
			b.Seats, drivers = append(b.Seats, s), append(drivers, s.Driver)
		}
		which := rapid.IntRange(0, len(drivers)-1).Draw(t, "which officer")
		own := fmt.Sprintf("s%d", which)
		for _, as := range []Viewer{AsPrincipal, AsOfficer} {
			v := viewOf(&b, as, drivers[which], &with, now)
			paths := map[string]bool{}
			m.shown(reflect.ValueOf(v), paths)
			inside := as == AsPrincipal || shared && assigned[own]
			for path := range m.all() {
				may := within(glimpsed, path)
				switch {
				case path == "b.ID":
				case strings.HasPrefix(path, "b."):
					may = may || as == AsPrincipal && within(toPrincipal, path) || as == AsOfficer && inside && within(toOfficer, path)
				case path == "p.Photo" || path == "p.Name":
					may = as == AsOfficer && inside && !with.principal.Restricted
				case path == "code":
					may = as == AsPrincipal && shared && (b.Status == fleet.Assigned || b.Status == fleet.EnRoute || b.Status == fleet.Arrived)
				case path == "rating":
					may = as == AsPrincipal
				case strings.HasPrefix(path, "s"):
					seat, of, _ := strings.Cut(path, "o.")
					may = inside && shared && assigned[seat] && (of == "" || within(face, "o."+of))
				}
				if paths[path] != may {
					t.Fatalf("a booking that is %s, seats %+v, ended %v ago: to the %s, %s is shown: %v, want %v", b.Status, b.Seats, now.Sub(b.Ended), as, path, paths[path], may)
				}
			}
		}
		glimpse := map[string]bool{}
		m.shown(reflect.ValueOf(GlimpseOf(&b)), glimpse)
		for path := range glimpse {
			if !within(glimpsed, path) {
				t.Fatalf("an offer carries %s", path)
			}
		}
	})
}

// all are the paths of what was marked and is not taken back since.
func (m *marks) all() map[string]bool {
	paths := map[string]bool{}
	for path := range maps.Values(m.from) {
		switch path {
		case "b.Ended", "b.Status": // set by the test
		default:
			if !strings.HasPrefix(path, "b.Seats") {
				paths[path] = true
			}
		}
	}
	return paths
}
