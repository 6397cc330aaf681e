package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

const bodies = 10_000 // in all

// scribe is who sends the bodies, as its requests say.
const scribe = "scribe"

// Bodies that each operation's schema takes, with one thing changed, sent by
// whoever may: the answer is never that the hub has failed, and at least half of
// them reach their handler: a refusal before it counts for nothing, whatever it is.
// New operations join by themselves.
func TestTenThousandBodiesNeverFailTheHub(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	h := newHub(t, func(c *Config) {
		c.Handled = func(ctx context.Context) {
			if sourceOf(ctx).Agent == scribe {
				reached.Add(1)
			}
		}
	})
	rows, operations := grants(t), h.operations()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(operations)), func(name string) bool {
		return operations[name].RequestBody == nil || operations[name].RequestBody.Content["application/json"] == nil
	})
	ids := h.inhabitants()
	const workers = 4
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			s := &scribbler{
				t: t, h: h, ids: ids, callers: map[string]*person{},
				sampler: sampler{Rand: rand.New(rand.NewPCG(1, uint64(worker))), registry: h.huma.OpenAPI().Components.Schemas, now: noon},
			}
			for i := range bodies / workers {
				name := names[(i*workers+worker)%len(names)]
				if row, ok := rows[name]; ok { // without one, another test fails
					s.send(name, operations[name], row)
				}
				if i%200 == 199 && worker == 0 {
					h.clock.Advance(time.Minute) // so that whoever has guessed too often may go on
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d bodies for %d operations reached their handler", reached.Load(), bodies, len(names))
	if reached.Load() < bodies/2 {
		t.Errorf("only %d of %d bodies reached their handler", reached.Load(), bodies)
	}
}

// inhabitants are ids that exist, by the beginning of the paths that name them.
func (h *hub) inhabitants() map[string]string {
	h.t.Helper()
	car := h.car("CAR 1").String()
	return map[string]string{
		"/api/devices/": h.device(nil).ID, "/api/vehicles/": car, "/api/users/": h.person(fleet.RoleRider).id.String(),
		"/api/drivers/":   h.officer(map[string]any{"name": "x", "tier": "executive"}).String(),
		"/api/documents/": h.submit("/api/vehicles/"+car+"/documents", map[string]any{"kind": "mot", "expires_at": "2027-01-01T00:00:00Z"}).String(),
		"/api/fences/":    h.fence(`{"name":"x","shape":` + embassy + `}`).ID.String(),
		"/api/partners/":  h.partner().ID,
	}
}

// scribbler sends bodies that are almost right.
type scribbler struct {
	sampler
	t       *testing.T
	h       *hub
	ids     map[string]string
	callers map[string]*person // by operation
}

func (s *scribbler) send(name string, op *huma.Operation, row grant) {
	schema := op.RequestBody.Content["application/json"].Schema
	text := s.scribble(schema)
	path := concrete(op.Path)
	for prefix, id := range s.ids {
		if strings.HasPrefix(op.Path, prefix+"{id}") && s.IntN(8) > 0 {
			path = prefix + id + concrete(strings.TrimPrefix(op.Path, prefix+"{id}"))
		}
	}
	for range 2 {
		status, answer := s.post(op.Method, path, s.caller(name, row), text)
		if status >= http.StatusInternalServerError {
			s.t.Errorf("%s: %d %s, for %s", name, status, answer, text)
			return
		}
		if bytes.Contains(answer, []byte("bearer token")) || bytes.Contains(answer, []byte(`"stale_sign_in"`)) {
			delete(s.callers, name) // the sign-in has grown old
			continue
		}
		return
	}
	s.t.Errorf("%s: its caller is not let in", name)
}

// caller is somebody who may call an operation.
func (s *scribbler) caller(name string, row grant) *person {
	if p, ok := s.callers[name]; ok {
		return p
	}
	p := &person{h: s.h}
	switch word := row.who[0]; word {
	case "anyone":
	case "person":
		p = s.h.person(fleet.RoleRider)
	default:
		p = s.h.person(fleet.Role(word))
		s.h.employ(p)
	}
	s.callers[name] = p
	return p
}

// post sends a request without a socket.
func (s *scribbler) post(method, path string, p *person, body string) (int, []byte) {
	r := s.h.request(method, path, body)
	r.Header.Del("Authorization")
	r.Header.Set("User-Agent", scribe)
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := s.h.app.Test(r, -1)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return resp.StatusCode, answer
}

// scribble makes a body that the schema takes and changes one thing in it: in
// two thirds to something at the edge of what the schema takes, else to
// something strange.
func (s *scribbler) scribble(schema *huma.Schema) string {
	schema = s.resolve(schema)
	body, ok := s.value(schema).(map[string]any)
	if ok && len(schema.Properties) > 0 {
		names := slices.Sorted(maps.Keys(schema.Properties))
		name := names[s.IntN(len(names))]
		switch s.IntN(12) {
		case 0:
			delete(body, name)
		case 1:
			body[strings.ToUpper(name)] = body[name]
		case 2, 3:
			body[name] = strange[s.IntN(len(strange))]
		default:
			body[name] = s.edge(schema.Properties[name])
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.IntN(40) == 0 { // cut, or with a byte that is wrong
		cut := s.IntN(len(text))
		return string(text[:cut]) + "\xff" + string(text[cut:])
	}
	return string(text)
}

func (s *scribbler) resolve(schema *huma.Schema) *huma.Schema {
	if schema.Ref != "" {
		return s.registry.SchemaFromRef(schema.Ref)
	}
	return schema
}

// edge is a value at the edge of what a schema takes.
func (s *scribbler) edge(schema *huma.Schema) any {
	schema = s.resolve(schema)
	pick := func(values ...any) any { return values[s.IntN(len(values))] }
	switch {
	case len(schema.Enum) > 0 || schema.Pattern != "":
		return s.value(schema)
	case schema.Type == huma.TypeInteger:
		low, high := s.bounds(schema)
		return pick(int(low), int(high), int(low)+1)
	case schema.Type == huma.TypeNumber:
		low, high := s.bounds(schema)
		return pick(low, high, (low+high)/2, json.RawMessage("-0"))
	case schema.Type == huma.TypeArray:
		list, _ := s.value(schema).([]any)
		if or(schema.MaxItems, 10) > len(list) {
			list = append(list, s.edge(schema.Items))
		}
		return list
	case schema.Type == huma.TypeObject && len(schema.Properties) > 0:
		object := s.object(schema)
		names := slices.Sorted(maps.Keys(schema.Properties))
		name := names[s.IntN(len(names))]
		object[name] = s.edge(schema.Properties[name])
		return object
	case schema.Format == "uuid":
		return pick(fleet.NewID[fleet.Device]().String(), "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
	case schema.Format == "date-time":
		return pick("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00+14:00", "2026-03-01T12:00:00-23:59")
	case schema.Type == huma.TypeString && schema.Format == "":
		least, most := or(schema.MinLength, 0), min(or(schema.MaxLength, 300), 20_000)
		return pick(strings.Repeat("x", most), strings.Repeat("\u202e", most), strings.Repeat("é", max(1, least)),
			strings.Repeat(" ", max(1, least)), strings.Repeat("0", max(1, least)), strings.Repeat("'", max(1, least)), s.value(schema))
	}
	return s.value(schema)
}
