package tariff

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
)

// dear counts the minutes that cost more of a trip that begins at a time on the
// wall in London.
func dear(t *testing.T, start string, d time.Duration) time.Duration {
	t.Helper()
	table := Default()
	zone, err := loadZone("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(table.dearMinutes(london(t, start), table.billed(d), zone)) * time.Minute
}

func TestSurchargedTime(t *testing.T) {
	t.Parallel()
	const h, m = time.Hour, time.Minute
	for _, c := range []struct {
		rule  string
		start string
		d     time.Duration
		want  time.Duration
	}{
		{"night begins at 23:00", "2027-03-09 21:00", 2*h + 30*m, 30 * m},
		{"and ends at 06:00", "2027-03-09 05:00", 4 * h, h},
		{"over midnight it is one night", "2027-03-09 20:00", 12 * h, 7 * h},
		{"by the minute", "2027-03-09 20:47", 2*h + 30*m, 17 * m},
		{"padding counts: 2 h 1 min are billed to 23:30", "2027-03-09 21:00", 2*h + m, 30 * m},
		{"padding counts: 30 min are billed to 23:30", "2027-03-09 21:30", 30 * m, 30 * m},
		{"two nights", "2027-03-09 22:00", 30 * h, 12 * h},
		{"a bank holiday by day", "2027-05-03 10:00", 4 * h, 4 * h},
		{"a bank holiday's night is not dearer still", "2027-05-03 00:00", 24 * h, 24 * h},
		{"into a bank holiday", "2027-05-02 22:00", 4 * h, 3 * h},
		{"out of a bank holiday, into the night", "2027-05-03 23:30", 12 * h, 6*h + 30*m},
		{"Good Friday", "2027-03-26 10:00", 2 * h, 2 * h},
		{"Easter Monday", "2027-03-29 10:00", 2 * h, 2 * h},
		{"Easter Sunday is none", "2027-03-28 10:00", 2 * h, 0},
		{"the day that stands in for Christmas", "2027-12-27 10:00", 2 * h, 2 * h},
		{"and for Boxing Day", "2027-12-28 10:00", 2 * h, 2 * h},
		{"Christmas on a Saturday is none itself", "2027-12-25 10:00", 2 * h, 0},
		{"Christmas on a Friday is one", "2026-12-25 10:00", 2 * h, 2 * h},
		{"the summer holiday of Scotland is none", "2027-08-02 10:00", 2 * h, 0},
		{"and that of England is one", "2027-08-30 10:00", 2 * h, 2 * h},
		{"the clocks go forward at 01:00: a night of 6 h", "2027-03-27 22:00", 12 * h, 6 * h},
		{"and 00:00 to 06:00 are 5 h", "2027-03-28 00:00", 5 * h, 5 * h},
		{"so that after 5 h it is day", "2027-03-28 00:00", 6 * h, 5 * h},
		{"the clocks go back at 02:00: a night of 8 h", "2027-10-30 22:00", 12 * h, 8 * h},
		{"and 00:00 to 06:00 are 7 h", "2027-10-31 00:00", 9 * h, 7 * h},
	} {
		if got := dear(t, c.start, c.d); got != c.want {
			t.Errorf("%s: %v from %s have %v that cost more, want %v", c.rule, c.d, c.start, got, c.want)
		}
	}
}

// What the clocks do changes what of a trip is at night, and not how long it is.
func TestPricesWhereTheClocksChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start string
		want  int64
	}{
		{"2027-03-27 22:00", 12*50_00 + 6*25_00 + 10_00},
		{"2027-10-30 22:00", 12*50_00 + 8*25_00 + 10_00},
		{"2027-03-13 22:00", 12*50_00 + 7*25_00 + 10_00},
	} {
		trip := Trip{Tier: fleet.Essential, Start: london(t, c.start), Time: 12 * time.Hour, Officers: 1}
		if got := quote(t, Default(), trip).Total; got != fleet.Pence(c.want) {
			t.Errorf("12 h from %s: %s, want %s", c.start, got, fleet.Pence(c.want))
		}
	}
}

// The seconds of a start do not count, and neither does the zone that it is
// written in: the zone of the trip does.
func TestNightIsByTheClockOfTheTrip(t *testing.T) {
	t.Parallel()
	table := Default()
	trip := Trip{Tier: fleet.Essential, Start: london(t, "2027-03-09 21:00"), Time: 3 * time.Hour, Officers: 1}
	want := quote(t, table, trip)
	trip.Start = trip.Start.Add(59*time.Second + time.Millisecond).UTC()
	if got := quote(t, table, trip); got.Total != want.Total || got.Of(Surcharge) != 25_00 {
		t.Errorf("%v, want %v", got, want)
	}
	trip.Zone = "America/New_York" // where it is 16:00
	if got := quote(t, table, trip).Of(Surcharge); got != 0 {
		t.Errorf("at four in the afternoon %dp are added", got)
	}
	trip.Zone = "Asia/Kolkata" // where it is 02:30, and 05:30 at the end
	if got := quote(t, table, trip).Of(Surcharge); got != 75_00 {
		t.Errorf("of three hours at night %dp are added, want 7500", got)
	}
}

func TestDaysThatOpsAdd(t *testing.T) {
	t.Parallel()
	table := Default()
	trip := Trip{Tier: fleet.Essential, Start: london(t, "2027-06-01 10:00"), Time: 2 * time.Hour, Officers: 1}
	if got := quote(t, table, trip).Of(Surcharge); got != 0 {
		t.Fatalf("a Tuesday costs %dp more", got)
	}
	table.Holidays = []string{"2027-06-01"}
	if got := quote(t, table, trip).Of(Surcharge); got != 50_00 {
		t.Errorf("a proclaimed holiday adds %dp, want 5000", got)
	}
}

// Walking from minute to minute, and looking at the clock at each, finds the same.
func TestSurchargedTimeIsThatOfEachMinute(t *testing.T) {
	t.Parallel()
	zones := []string{
		"Europe/London", "America/Los_Angeles", "Australia/Lord_Howe", // by half an hour
		"America/Sao_Paulo", // by an hour at midnight
		"Pacific/Apia",      // by a day
		"Asia/Kathmandu", "Africa/Cairo", "UTC",
	}
	rapid.Check(t, func(t *rapid.T) {
		table := Default()
		table.Night.From = LocalTime(rapid.IntRange(0, day-1).Draw(t, "from"))
		table.Night.To = LocalTime(rapid.IntRange(0, day-1).Draw(t, "to"))
		zone, err := loadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(946684800, 2145916800).Draw(t, "start"), 0) // 2000 to 2038
		minutes := rapid.IntRange(0, 3*day).Draw(t, "minutes")
		want := 0
		for i := range minutes {
			local := start.Truncate(time.Minute).Add(time.Duration(i) * time.Minute).In(zone)
			at := LocalTime(local.Hour()*60 + local.Minute())
			night := table.Night.From <= at && at < table.Night.To
			if table.Night.From > table.Night.To {
				night = at >= table.Night.From || at < table.Night.To
			}
			if _, holiday, _ := bankHolidays.IsHoliday(local); holiday || night {
				want++
			}
		}
		if got := table.dearMinutes(start, minutes, zone); got != want {
			t.Fatalf("%d minutes, want %d", got, want)
		}
	})
}
