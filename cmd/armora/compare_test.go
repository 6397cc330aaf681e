package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"armora/fleet"
	"armora/sim"
)

// place is a point's identity, as a sender writes it.
type placeOf struct {
	Fix      int64
	Lat, Lon int32
}

// stored reads what the hub has of a device, by content.
func (h *served) stored(device string) map[placeOf]int {
	h.t.Helper()
	now := time.Now()
	text := h.ask("GET", fmt.Sprintf("/api/devices/%s/points?format=csv&from=%s&to=%s", device,
		now.AddDate(0, 0, -60).UTC().Format(time.RFC3339), now.Add(time.Hour).UTC().Format(time.RFC3339)), nil, http.StatusOK)
	return h.places(text)
}

func (h *served) places(text []byte) map[placeOf]int {
	h.t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		h.t.Fatal(err)
	}
	found := make(map[placeOf]int)
	for _, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339Nano, row[0])
		lat, errLat := strconv.ParseFloat(row[1], 64)
		lon, errLon := strconv.ParseFloat(row[2], 64)
		if err := errors.Join(err, errLat, errLon); err != nil {
			h.t.Fatal(err)
		}
		found[placeOf{at.UnixMilli(), fleet.E7(lat), fleet.E7(lon)}]++
	}
	return found
}

// compare holds what is stored against what the sender knows: everything handed
// over is there, once, and nothing else.
func (h *served) compare(devices []sim.Device, entries []sim.Entry) {
	h.t.Helper()
	handed, acked := make(map[string]map[placeOf]bool), 0
	for _, d := range devices {
		handed[d.ID] = make(map[placeOf]bool)
	}
	var confirmed []sim.Entry
	for _, e := range entries {
		handed[e.Device][placeOf{e.Fix, e.Lat, e.Lon}] = true
		if e.Happening == sim.Acknowledged {
			acked++
			confirmed = append(confirmed, e)
		}
	}
	total := 0
	stored := make(map[string]map[placeOf]int)
	for _, d := range devices {
		stored[d.ID] = h.stored(d.ID)
		for p, n := range stored[d.ID] {
			total += n
			if n != 1 || !handed[d.ID][p] {
				h.t.Errorf("device %s: %+v is stored %d times, and was sent: %v", d.ID, p, n, handed[d.ID][p])
			}
		}
		for p := range handed[d.ID] {
			if stored[d.ID][p] == 0 {
				h.t.Errorf("device %s: %+v was handed over and is not stored", d.ID, p)
			}
		}
	}
	for _, e := range confirmed {
		if stored[e.Device][placeOf{e.Fix, e.Lat, e.Lon}] == 0 {
			h.t.Errorf("device %s: %+v was acknowledged and is not stored", e.Device, e)
		}
	}
	h.t.Logf("%d points acknowledged, %d distinct ones stored", acked, total)
	if acked == 0 {
		h.t.Error("nothing was acknowledged")
	}
}
