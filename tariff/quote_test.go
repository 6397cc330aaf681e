package tariff

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"armora/fleet"
)

// london reads a time by the clock on a wall in London.
func london(t *testing.T, wall string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", wall, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// miles is a way of whole miles, in metres.
func miles(n int) int { return int(halfUp(int64(n)*mileMillimetres, 1000)) }

// byDay is a trip of one officer on a Tuesday that is no bank holiday.
func byDay(t *testing.T, tier fleet.Tier, hours float64, mi int) Trip {
	t.Helper()
	return Trip{
		Tier: tier, Start: london(t, "2027-03-09 10:00"), Zone: "Europe/London",
		Time: time.Duration(hours * float64(time.Hour)), Metres: miles(mi), Officers: 1,
	}
}

func quote(t *testing.T, table Table, trip Trip) Price {
	t.Helper()
	p, err := table.Quote(trip)
	if err != nil {
		t.Fatalf("%+v: %v", trip, err)
	}
	return p
}

// The vectors of the design, and one for each of its rules.
func TestQuote(t *testing.T) {
	t.Parallel()
	const mile = 2_50
	for _, c := range []struct {
		rule             string
		trip             Trip
		standard, member int64
	}{
		{"Essential 4 mi at minimum", byDay(t, fleet.Essential, 2, 4), 120_00, 88_00},
		{"Executive 22 mi at minimum", byDay(t, fleet.Executive, 2, 22), 215_00, 164_00},
		{"Executive 6 h 35 mi", byDay(t, fleet.Executive, 6, 35), 547_50, 430_00},
		{"Essential is £50 an hour", byDay(t, fleet.Essential, 3, 0), 160_00, 120_00},
		{"Executive is £75 an hour", byDay(t, fleet.Executive, 3, 0), 235_00, 180_00},
		{"Shadow is £65 an hour", byDay(t, fleet.Shadow, 3, 0), 205_00, 156_00},
		{"Client Vehicle is £55 an hour", byDay(t, fleet.ClientVehicle, 3, 0), 175_00, 132_00},
		{"a mile is £2.50", byDay(t, fleet.Essential, 2, 1), 110_00 + mile, 82_00},
		{"1 min is billed as 2 h", byDay(t, fleet.Essential, 1./60, 0), 110_00, 80_00},
		{"2 h are billed as 2 h", byDay(t, fleet.Essential, 2, 0), 110_00, 80_00},
		{"2 h 1 min are billed as 2 h 30", byDay(t, fleet.Essential, 2+1./60, 0), 135_00, 100_00},
		{"2 h 30 are billed as 2 h 30", byDay(t, fleet.Essential, 2.5, 0), 135_00, 100_00},
		{"2 h 31 are billed as 3 h", byDay(t, fleet.Essential, 2.5+1./60, 0), 160_00, 120_00},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			if got := quote(t, Default(), c.trip).Total; got != fleet.Pence(c.standard) {
				t.Errorf("standard: %s, want %s", got, fleet.Pence(c.standard))
			}
			c.trip.Member = true
			if got := quote(t, Default(), c.trip).Total; got != fleet.Pence(c.member) {
				t.Errorf("member: %s, want %s", got, fleet.Pence(c.member))
			}
		})
	}
}

// Hours and mileage are taken times the officers, and the fee once; a member
// pays four fifths of the hours, the mileage and what the night adds, and no fee.
func TestLinesOfATeamAtNight(t *testing.T) {
	t.Parallel()
	trip := Trip{
		Tier: fleet.Executive, Start: london(t, "2027-03-09 21:30"), Time: 3 * time.Hour,
		Metres: miles(10), Officers: 3,
	}
	want := Price{
		Tariff: 1, Minutes: 180, Officers: 3, Total: fleet.Pence(928_75),
		Lines: []Line{
			{Kind: Hours, Minutes: 180, Amount: fleet.Pence(3 * 225_00)},
			{Kind: Mileage, Metres: 16093, Amount: fleet.Pence(3 * 25_00)},
			{Kind: Surcharge, Minutes: 90, Amount: fleet.Pence(3 * 56_25)}, // half of 90 min at £75
			{Kind: BookingFee, Amount: fleet.Pence(10_00)},
		},
	}
	if got := quote(t, Default(), trip); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	trip.Member = true
	want.Lines[3] = Line{Kind: MemberDiscount, Amount: fleet.Pence(-183_75)}
	want.Total = fleet.Pence(735_00)
	if got := quote(t, Default(), trip); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each rounding is half up to the penny, at the place where the package says.
func TestRounding(t *testing.T) {
	t.Parallel()
	table := Default()
	table.Hourly.Essential = 50_01 // half an hour is 2500.5p
	table.Minimum, table.Fee = 30, 0
	trip := Trip{Tier: fleet.Essential, Start: london(t, "2027-03-09 10:00"), Time: time.Minute, Officers: 1}
	if got := quote(t, table, trip).Total.Amount; got != 2501 {
		t.Errorf("half an hour at £50.01 is %dp, want 2501", got)
	}
	trip.Officers = 3
	if got := quote(t, table, trip).Total.Amount; got != 3*2501 {
		t.Errorf("of three officers it is %dp, want three times one's", got)
	}
	trip.Member = true
	if got := quote(t, table, trip).Total.Amount; got != 3*2501-1501 { // 20 % are 1500.6
		t.Errorf("of three for a member it is %dp, want %d", got, 3*2501-1501)
	}
	trip.Officers, trip.Metres = 1, 1
	if got := quote(t, table, trip).Of(Mileage); got != 0 { // 0.155p
		t.Errorf("a metre is %dp, want 0", got)
	}
	trip.Metres = 4 // 0.62p
	if got := quote(t, table, trip).Of(Mileage); got != 1 {
		t.Errorf("four metres are %dp, want 1", got)
	}
	for n := range 1000 { // whole miles cost whole miles, though a way is whole metres
		if got := halfUp(table.Mile*int64(miles(n))*1000, mileMillimetres); got != int64(n)*2_50 {
			t.Fatalf("%d miles cost %dp", n, got)
		}
	}
	if got := table.VATIn(fleet.Pence(120_00)); got != fleet.Pence(20_00) {
		t.Errorf("£120 include %s of VAT, want £20", got)
	}
	if got := table.VATIn(fleet.Pence(547_50)); got != fleet.Pence(91_25) {
		t.Errorf("£547.50 include %s of VAT, want £91.25", got)
	}
}

// The final price is that of the longer of booked and actual time.
func TestFinal(t *testing.T) {
	t.Parallel()
	table := Default()
	trip := byDay(t, fleet.Essential, 4, 4)
	trip.Start = london(t, "2027-03-09 19:00") // to 23:00, when the night begins
	for _, c := range []struct {
		name, began, ended string
		want               int64
	}{
		{"as booked", "2027-03-09 19:00", "2027-03-09 23:00", 220_00},
		{"shorter costs as booked", "2027-03-09 19:00", "2027-03-09 20:00", 220_00},
		{"a minute longer is half an hour, all of it at night", "2027-03-09 19:00", "2027-03-09 23:01", 220_00 + 25_00 + 12_50},
		{"late costs as booked: what was booked was before the night", "2027-03-09 20:30", "2027-03-10 00:30", 220_00},
		{"late and longer runs from the booked start", "2027-03-09 19:10", "2027-03-09 23:40", 220_00 + 25_00 + 12_50},
		{"early and as long runs from the actual start", "2027-03-09 18:00", "2027-03-09 22:00", 220_00},
		{"early and longer", "2027-03-09 18:00", "2027-03-09 23:00", 270_00},
		{"a clock that went back ends nothing before it began", "2027-03-09 19:00", "2027-03-09 18:00", 220_00},
	} {
		p, err := table.Final(trip, london(t, c.began), london(t, c.ended))
		if err != nil || p.Total != fleet.Pence(c.want) {
			t.Errorf("%s: %v %v, want %v", c.name, p.Total, err, fleet.Pence(c.want))
		}
	}
}

// An extension is priced by the same rule: what the longer trip costs more.
func TestExtension(t *testing.T) {
	t.Parallel()
	table := Default()
	for _, c := range []struct {
		name   string
		start  string
		booked time.Duration
		by     time.Duration
		member bool
		want   int64
	}{
		{"half an hour", "2027-03-09 10:00", 4 * time.Hour, 30 * time.Minute, false, 25_00},
		{"half an hour for a member", "2027-03-09 10:00", 4 * time.Hour, 30 * time.Minute, true, 20_00},
		{"a minute is half an hour", "2027-03-09 10:00", 4 * time.Hour, time.Minute, false, 25_00},
		{"within what was rounded up", "2027-03-09 10:00", 4*time.Hour + time.Minute, 29 * time.Minute, false, 0},
		{"within the minimum", "2027-03-09 10:00", time.Hour, time.Hour, false, 0},
		{"into the night", "2027-03-09 18:30", 4 * time.Hour, time.Hour, false, 50_00 + 12_50},
	} {
		trip := Trip{Tier: fleet.Essential, Start: london(t, c.start), Time: c.booked, Officers: 1, Member: c.member}
		before := quote(t, table, trip)
		whole, more, err := table.Extension(trip, c.by)
		if err != nil || more != fleet.Pence(c.want) || whole.Total != before.Total.Plus(more) {
			t.Errorf("%s: %s more (%v), want %s; %s before, %s in all", c.name, more, err, fleet.Pence(c.want), before.Total, whole.Total)
		}
	}
	if _, _, err := table.Extension(byDay(t, fleet.Essential, 2, 0), 0); fleet.CodeOf(err) != fleet.CodeInvalid {
		t.Errorf("an extension by nothing: %v", err)
	}
}

func TestNoPrice(t *testing.T) {
	t.Parallel()
	for flaw, change := range map[string]func(*Trip){
		"tier":     func(trip *Trip) { trip.Tier = "armed" },
		"zone":     func(trip *Trip) { trip.Zone = "Europe/Atlantis" },
		"start":    func(trip *Trip) { trip.Start = time.Time{} },
		"minutes":  func(trip *Trip) { trip.Time = 0 },
		"metres":   func(trip *Trip) { trip.Metres = -1 },
		"officers": func(trip *Trip) { trip.Officers = 0 },
	} {
		trip := byDay(t, fleet.Essential, 2, 4)
		change(&trip)
		table := Default()
		_, err := table.Quote(trip)
		wantFlaw(t, err, flaw)
	}
	for _, change := range []func(*Trip){
		func(trip *Trip) { trip.Zone = "Local" }, // another on each machine
		func(trip *Trip) { trip.Time = MaxTime + 1 },
		func(trip *Trip) { trip.Officers = fleet.MaxOfficers + 1 },
		func(trip *Trip) { trip.Metres = MaxMetres + 1 },
	} {
		trip := byDay(t, fleet.Essential, 2, 4)
		change(&trip)
		table := Default()
		if p, err := table.Quote(trip); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%+v has a price, %v (%v)", trip, p, err)
		}
	}
}

func wantFlaw(t *testing.T, err error, location string) {
	t.Helper()
	e, ok := errors.AsType[*fleet.Error](err)
	if !ok || e.Code != fleet.CodeInvalid {
		t.Errorf("%s: %v, want %s", location, err, fleet.CodeInvalid)
		return
	}
	if len(e.Flaws) != 1 || e.Flaws[0].Location != location || e.Flaws[0].Message == "" {
		t.Errorf("%s: the flaws are %+v", location, e.Flaws)
	}
}

// A booking keeps its table as JSON, and is priced by that to the end.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	table := Default()
	table.Holidays = []string{"2027-06-01"}
	text, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	var back Table
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, table) {
		t.Errorf("got  %+v\nwant %+v\nby %s", back, table, text)
	}
	for _, wrong := range []string{`{"night":{"from":"24:00"}}`, `{"night":{"from":"11pm"}}`, `{"night":{"from":1380}}`} {
		if err := json.Unmarshal([]byte(wrong), &back); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
