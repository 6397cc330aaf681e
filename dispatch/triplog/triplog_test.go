package triplog

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	t.Parallel()
	const text = `fare,dropoff_time,dropoff_lat,dropoff_lon,cab,pickup_time,pickup_lat,pickup_lon
12,1211353726,37.79668,-122.41859,21,1211353200,37.78589,-122.45694
9,1211354981,37.83496,-122.29364,46,1211353227,37.61486,-122.39312
`
	got, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Trip{
		Cab: "21", Pickup: time.Unix(1211353200, 0).UTC(), Dropoff: time.Unix(1211353726, 0).UTC(),
		FromLat: 37.78589, FromLon: -122.45694, ToLat: 37.79668, ToLon: -122.41859,
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], want) || got[1].Cab != "46" {
		t.Errorf("got %+v, want two, the first %+v", got, want)
	}
	if d := got[0].Metres(); d < 3550 || d > 3600 || got[0].Time() != 526*time.Second {
		t.Errorf("%.0f m in %v", d, got[0].Time())
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const header = "cab,pickup_time,pickup_lat,pickup_lon,dropoff_time,dropoff_lat,dropoff_lon\n"
	for problem, text := range map[string]string{
		"header":           "",
		"column cab":       "taxi,pickup_time,pickup_lat,pickup_lon,dropoff_time,dropoff_lat,dropoff_lon\n",
		"line 3":           header + "1,1,0,0,2,0,0\n1,1,0,0,2,0,east\n",
		"not within ±90":   header + "1,1,91,0,2,0,0\n",
		"not within ±180":  header + "1,1,0,NaN,2,0,0\n",
		"noon":             header + "1,noon,0,0,2,0,0\n",
		"number of fields": header + "1,1,0,0\n",
	} {
		if trips, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %d trips, %v; want an error about %q", text, len(trips), err, problem)
		}
	}
}
