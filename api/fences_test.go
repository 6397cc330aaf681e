package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/live/fence"
	"armora/schema"
	"armora/schema/schematest"
)

// watched notes what the API tells of fences.
type watched struct {
	mu      sync.Mutex
	put     []schema.Fence
	removed []schema.FenceID
}

func (w *watched) Put(f schema.Fence) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put = append(w.put, f)
	return nil
}

func (w *watched) Remove(id schema.FenceID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = append(w.removed, id)
}

const (
	embassy = `{"type":"Circle","coordinates":[-0.1278,51.5074],"radius_m":250}`
	park    = `{"type":"Polygon","coordinates":[[[-0.2,51.4],[-0.1,51.4],[-0.1,51.5],[-0.2,51.4]]]}`
)

func (h *hub) fence(body string) Fence {
	h.t.Helper()
	a := h.must(http.StatusCreated, "POST", "/api/fences", body)
	f := as[Fence](h.t, a)
	if want := "/api/fences/" + f.ID.String(); a.Header.Get("Location") != want {
		h.t.Errorf("Location %q, want %q", a.Header.Get("Location"), want)
	}
	return f
}

func TestFencesAreMadeListedAndDeleted(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		told := &watched{}
		h := newHubOn(t, db, func(c *Config) { c.Fences = told })
		plain := h.fence(`{"name":"Embassy","shape":` + embassy + `}`)
		confirm := fence.DefaultConfirm()
		if plain.Name != "Embassy" || plain.DwellSeconds != 0 || plain.ConfirmFixes != confirm.Fixes ||
			plain.ConfirmSeconds != int64(confirm.For/time.Second) || plain.MaxAccuracy != fence.DefaultMaxAccuracy || !plain.CreatedAt.Equal(noon) {
			t.Errorf("made %+v", plain)
		}
		if string(plain.Shape) != embassy {
			t.Errorf("its shape is %s", plain.Shape)
		}
		full := h.fence(`{"name":"Park","shape":` + park + `,"dwell_seconds":300,"confirm_fixes":1,"confirm_seconds":0,"max_accuracy_m":20}`)
		if full.DwellSeconds != 300 || full.ConfirmFixes != 1 || full.ConfirmSeconds != 0 || full.MaxAccuracy != 20 || string(full.Shape) != park {
			t.Errorf("made %+v", full)
		}
		want := schema.Fence{ID: full.ID, Name: "Park", Shape: json.RawMessage(park), Dwell: 5 * time.Minute, ConfirmFixes: 1, MaxAccuracy: 20, Created: noon}
		if got := told.put; len(got) != 2 || string(got[1].Shape) != park || got[1].Dwell != want.Dwell || got[1].ID != want.ID || got[1].ConfirmFor != 0 {
			t.Errorf("the running hub was told of %+v", got)
		}
		first := as[page[Fence]](t, h.must(200, "GET", "/api/fences?limit=1", nil))
		second := as[page[Fence]](t, h.must(200, "GET", "/api/fences?limit=1&cursor="+first.Next, nil))
		if len(first.Items) != 1 || first.Items[0].ID != plain.ID || len(second.Items) != 1 || second.Items[0].ID != full.ID || second.Next != "" {
			t.Errorf("listed %+v and %+v", first, second)
		}
		path := "/api/fences/" + plain.ID.String()
		if got := as[Fence](t, h.must(200, "GET", path, nil)); got.Name != plain.Name || string(got.Shape) != embassy {
			t.Errorf("got %+v", got)
		}
		h.must(http.StatusNoContent, "DELETE", path, nil)
		if !slices.Equal(told.removed, []schema.FenceID{plain.ID}) {
			t.Errorf("the running hub was told that %v are gone", told.removed)
		}
		for method, path := range map[string]string{"GET": path, "DELETE": path} {
			problem(t, h.do(method, path, nil), http.StatusNotFound, fleet.CodeNotFound)
		}
		problem(t, h.do("GET", path+"/events", nil), http.StatusNotFound, fleet.CodeNotFound)
	})
}

func TestEventsOfAFenceInPages(t *testing.T) {
	t.Parallel()
	h := newHub(t) // without a running set: fences are kept all the same
	f := h.fence(`{"name":"Embassy","shape":` + embassy + `}`)
	unit := fleet.Unit(fleet.NewID[fleet.Driver]())
	want := make([]FenceEvent, 0, 3)
	for i, kind := range []string{"enter", "dwell", "exit"} {
		at := noon.Add(time.Duration(i) * time.Minute)
		e := schema.FenceEvent{Fence: f.ID, Unit: unit, Kind: kind, At: at, Since: noon, Lat: 51.5, Lon: -0.12}
		if err := (schema.Fences{DB: h.db}).AddEvents(t.Context(), []schema.FenceEvent{e}); err != nil {
			t.Fatal(err)
		}
		want = append(want, showFenceEvent(e))
	}
	slices.Reverse(want)
	path := "/api/fences/" + f.ID.String() + "/events?limit=2"
	first := as[page[FenceEvent]](t, h.must(200, "GET", path, nil))
	second := as[page[FenceEvent]](t, h.must(200, "GET", path+"&cursor="+first.Next, nil))
	if got := slices.Concat(first.Items, second.Items); !slices.Equal(got, want) || second.Next != "" {
		t.Errorf("listed %+v, want %+v", got, want)
	}
	problem(t, h.do("GET", path+"&cursor=x", nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

func TestBadShapesHaveTheirOwnCodes(t *testing.T) {
	t.Parallel()
	told := &watched{}
	h := newHub(t, func(c *Config) { c.Fences = told })
	polygon := func(coordinates string) string { return `{"type":"Polygon","coordinates":` + coordinates + `}` }
	for shape, code := range map[string]fleet.Code{
		`7`: "fence_shape_not_understood", `null`: "fence_shape_type_unknown",
		`{"type":"Feature"}`: "fence_shape_type_unknown",
		`{"type":"Circle","coordinates":[0,51],"radius_m":0}`:   "fence_radius_out_of_range",
		`{"type":"Circle","coordinates":[51,-91],"radius_m":9}`: "fence_position_out_of_range",
		`{"type":"Circle","coordinates":[0,89],"radius_m":9}`:   "fence_too_near_pole",
		polygon(`[]`):                                                            "fence_no_ring",
		polygon(`[[[0,51],[1,51],[0,51]]]`):                                      "fence_ring_too_short",
		polygon(`[[[0,51],[1,51],[1,52],[0,52]]]`):                               "fence_ring_not_closed",
		polygon(`[[[0,51],[1,52],[1,51],[0,52],[0,51]]]`):                        "fence_self_intersection",
		polygon(`[[[0,51],[1,51],[2,51],[0,51]]]`):                               "fence_zero_area",
		polygon(`[[[0,51],[1,51],[1,52],[0,51]],[[5,51],[6,51],[6,52],[5,51]]]`): "fence_hole_outside",
		polygon(`[[` + strings.Repeat(`[0,51],`, 2001) + `[0,51]]]`):             "fence_too_many_vertices",
	} {
		p := problem(t, h.do("POST", "/api/fences", `{"name":"x","shape":`+shape+`}`), http.StatusUnprocessableEntity, code)
		if p.Detail == "" || p.RequestID == "" || len(p.Errors) != 1 || p.Errors[0].Location != "body.shape" {
			t.Errorf("%s: %+v", shape, p)
		}
	}
	for _, rest := range []string{
		`"name":""`, `"name":"x","dwell_seconds":-1`, `"name":"x","confirm_fixes":0`, `"name":"x","confirm_seconds":-1`,
		`"name":"x","max_accuracy_m":0`, `"name":"x","colour":"red"`,
	} {
		problem(t, h.do("POST", "/api/fences", `{"shape":`+embassy+`,`+rest+`}`), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	problem(t, h.do("POST", "/api/fences", `{"name":"x"}`), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if list := as[page[Fence]](t, h.must(200, "GET", "/api/fences", nil)); len(list.Items) > 0 || len(told.put) > 0 {
		t.Errorf("kept %+v, told of %+v", list.Items, told.put)
	}
}
