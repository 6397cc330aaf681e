package dispatch

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestStartsWhereTheClocksChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		local, zone string
		fold        int
		want        string // UTC; or the flaw's next time, after a !
	}{
		{"2027-03-28T00:59", "Europe/London", 0, "2027-03-28T00:59Z"},
		{"2027-03-28T01:00", "Europe/London", 0, "!2027-03-28T02:00"},
		{"2027-03-28T01:30", "Europe/London", 1, "!2027-03-28T02:00"},
		{"2027-03-28T01:59", "Europe/London", 0, "!2027-03-28T02:00"},
		{"2027-03-28T02:00", "Europe/London", 0, "2027-03-28T01:00Z"},
		{"2027-03-28T10:00", "Europe/London", 0, "2027-03-28T09:00Z"},
		{"2027-10-31T00:59", "Europe/London", 1, "2027-10-30T23:59Z"},
		{"2027-10-31T01:00", "Europe/London", 0, "2027-10-31T00:00Z"},
		{"2027-10-31T01:30", "Europe/London", 0, "2027-10-31T00:30Z"},
		{"2027-10-31T01:30", "Europe/London", 1, "2027-10-31T01:30Z"},
		{"2027-10-31T01:59", "Europe/London", 1, "2027-10-31T01:59Z"},
		{"2027-10-31T02:00", "Europe/London", 1, "2027-10-31T02:00Z"},
		{"2027-10-31T10:00", "Europe/London", 0, "2027-10-31T10:00Z"},
		{"2027-10-03T02:15", "Australia/Lord_Howe", 0, "!2027-10-03T02:30"}, // by half an hour
		{"2027-04-04T01:45", "Australia/Lord_Howe", 1, "2027-04-03T15:15Z"},
		{"2011-12-30T10:00", "Pacific/Apia", 0, "!2011-12-31T00:00"}, // a day that was left out
		{"2027-06-01T10:00", "Asia/Tokyo", 1, "2027-06-01T01:00Z"},
	} {
		at, flaw := startOf(c.local, c.zone, c.fold)
		if next, gap := strings.CutPrefix(c.want, "!"); gap {
			if flaw == nil || flaw.Location != "local_start" || !strings.Contains(flaw.Message, "the next time that they show is "+next) {
				t.Errorf("%s in %s is %v, flaw %+v; want the next, %s", c.local, c.zone, at, flaw, next)
			}
			continue
		}
		if flaw != nil || at.Format("2006-01-02T15:04Z") != c.want {
			t.Errorf("%s in %s, fold %d: %v, flaw %+v; want %s", c.local, c.zone, c.fold, at, flaw, c.want)
		}
	}
	for _, c := range [][3]string{
		{"2027-02-30T10:00", "Europe/London", "local_start"}, {"tomorrow", "Europe/London", "local_start"},
		{"2027-02-03T10:00", "Local", "zone"}, {"2027-02-03T10:00", "", "zone"}, {"2027-02-03T10:00", "Mars/Olympus", "zone"},
	} {
		if at, flaw := startOf(c[0], c[1], 0); flaw == nil || flaw.Location != c[2] {
			t.Errorf("%s in %q is %v, flaw %+v", c[0], c[1], at, flaw)
		}
	}
}

// Every instant is read back from what the clocks show at it, by one fold or the
// other; and what is read shows what was written.
func TestTheWallAndBack(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := zoneOf(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(60*rapid.Int64Range(20_000_000, 40_000_000).Draw(t, "minute"), 0).In(zone)
		if _, until := at.ZoneBounds(); rapid.Bool().Draw(t, "near a change") && !until.IsZero() {
			at = until.Truncate(time.Minute).Add(time.Duration(rapid.IntRange(-150, 150).Draw(t, "minutes")) * time.Minute)
		}
		local := at.Format(LocalLayout)
		first, ok, err := onTheWall(local, zone, 0)
		second, ok2, err2 := onTheWall(local, zone, 1)
		if err != nil || err2 != nil || !ok || !ok2 {
			t.Fatalf("%s is shown, and not read", local)
		}
		if !first.Equal(at) && !second.Equal(at) || second.Before(first) || first.Format(LocalLayout) != local || second.Format(LocalLayout) != local {
			t.Fatalf("%v shows %s, which is read as %v and %v", at, local, first, second)
		}
	})
}
