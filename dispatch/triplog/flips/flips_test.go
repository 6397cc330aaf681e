package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// trace writes a cab's fixes, the newest first, from a line of marks a minute apart: a
// digit is where somebody is in it, so many kilometres to the north, a dot that nobody
// is, a blank that nothing was heard.
func trace(from int64, marks string) *fstest.MapFile {
	var lines []string
	for i, mark := range marks {
		at, north, occupied := from+60*int64(i), 0, 0
		switch {
		case mark == ' ':
			continue
		case mark != '.':
			north, occupied = int(mark-'0'), 1
		}
		lines = append([]string{fmt.Sprintf("%.5f -122.4 %d %d", 37.7+float64(north)/111.195, occupied, at)}, lines...)
	}
	return &fstest.MapFile{Data: []byte(strings.Join(lines, "\n") + "\n")}
}

func TestATripIsFromTheFirstFixToTheLastWithSomebodyInIt(t *testing.T) {
	t.Parallel()
	noon := time.Date(2008, 5, 28, 12, 0, 0, 0, time.UTC)
	from := noon.Unix()
	folder := fstest.MapFS{
		"new_b.txt":  trace(from+1, "..135..2 4."), // two trips
		"new_a.txt":  trace(from, "12.11.    13.1.  ....3"+"4"),
		"_cabs.txt":  {Data: []byte("<cab/>")},
		"new_c.txt":  trace(from-120, "...12."),
		"new_dd.txt": trace(from+60*60-60, "..12."),
	}
	got, err := readAll(folder, noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("cab %d, minutes %d to %d, %.1f km", s.cab, (s.from.at-from)/60, (s.to.at-from)/60, (s.to.lat-s.from.lat)*111.195))
	}
	// Of the first cab: a trip whose beginning was not seen, one that went nowhere, one after five minutes of
	// silence, one that was as short as a fix, and one whose end was not seen.
	want := []string{"cab 2, minutes 1 to 2, 1.0 km", "cab 1, minutes 2 to 4, 4.0 km", "cab 1, minutes 7 to 9, 2.0 km"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("the trips are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestATraceThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]fstest.MapFS{
		"new_a.txt: line 2": {"new_a.txt": {Data: []byte("37.7 -122.4 1 1211033530\n37.7 -122.4 yes 1211033590\n")}},
		"no file":           {"other.txt": trace(0, "..")},
	} {
		if _, err := readAll(folder, time.Time{}, time.Now()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
