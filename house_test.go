// Package armora_test holds the house to its plan: which of our packages may
// import which, and which third-party module lives where. The plan is drawn in
// docs/architecture.md.
package armora_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "armora"

// arrows lists, for each top-level folder, the folders that it may import. A
// sub-package has the row of its top-level folder, and never imports it.
var arrows = map[string][]string{
	"fleet":    {},
	"schema":   {"fleet"},
	"live":     {"fleet"},
	"bus":      {"fleet"},
	"broker":   {"fleet"},
	"ingest":   {"fleet", "live", "schema", "bus", "ingest"},
	"files":    {"fleet", "schema"},
	"account":  {"fleet", "schema", "bus", "files"},
	"notify":   {"fleet", "schema"},
	"chat":     {"fleet", "schema", "bus"},
	"tariff":   {"fleet"},
	"payment":  {"fleet", "tariff", "schema", "payment"},
	"dispatch": {"fleet", "tariff", "live", "schema", "bus", "dispatch"},
	"safety":   {"fleet", "live", "schema", "bus", "notify"},
	"api":      {"fleet", "live", "schema", "bus", "account", "files", "notify", "tariff", "dispatch", "payment", "safety", "chat"},
	"sim":      {"deploy", "sim"},
	"deploy":   {},
	"cmd":      {"fleet", "live", "schema", "bus", "broker", "ingest", "files", "account", "notify", "tariff", "dispatch", "payment", "safety", "chat", "api", "sim", "deploy"},
}

// inTests may be imported by the test files of any package: the simulated
// world and the databases that tests run on.
var inTests = []string{"sim", "schema/schematest", "schema/timescaletest", "deploy"}

// support are packages that exist for tests alone, and import as tests do.
var support = []string{"schema/schematest", "schema/timescaletest", "ingest/format/formattest"}

// homes lists, for each third-party module with a home, the folders whose code
// (tests aside) may import it. A module that is not listed may be imported
// from nowhere.
var homes = map[string][]string{
	"github.com/google/uuid":                   {"fleet", "sim"},
	"github.com/jackc/pgx/v5":                  {"schema"},
	"github.com/jackc/puddle/v2":               {"schema"},
	"github.com/pressly/goose/v3":              {"schema"},
	"github.com/riverqueue/river":              {"schema", "notify", "chat", "account", "files", "dispatch", "safety", "payment", "cmd"},
	"github.com/mochi-mqtt/server/v2":          {"broker"},
	"github.com/gorilla/websocket":             {"broker", "sim"},
	"github.com/go-json-experiment/json":       {"ingest"},
	"github.com/hashicorp/golang-lru/v2":       {"account", "dispatch", "api"},
	"google.golang.org/protobuf":               {"ingest", "deploy", "sim"},
	"golang.org/x/crypto":                      {"ingest", "account"},
	"github.com/alexedwards/argon2id":          {"account"},
	"github.com/pquerna/otp":                   {"account"},
	"github.com/golang-jwt/jwt/v5":             {"account"},
	"github.com/go-jose/go-jose/v4":            {"account", "sim"},
	"github.com/coreos/go-oidc/v3":             {"account"},
	"golang.org/x/oauth2":                      {"account"},
	"github.com/zitadel/oidc/v3":               {"sim"},
	"golang.org/x/sync":                        {"account", "files", "broker", "ingest", "dispatch", "sim", "cmd"},
	"golang.org/x/time":                        {"broker", "dispatch", "api", "sim"},
	"github.com/skip2/go-qrcode":               {"account"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"account"},
	"filippo.io/age":                           {"files"},
	"github.com/minio/minio-go/v7":             {"files"},
	"github.com/bep/imagemeta":                 {"files"},
	"golang.org/x/image":                       {"files", "payment"}, // pictures; the font of papers
	"github.com/go-pdf/fpdf":                   {"payment"},
	"golang.org/x/text":                        {"account", "sim"},
	"github.com/gofiber/fiber/v2":              {"api"},
	"github.com/gofiber/contrib/websocket":     {"api"},
	"github.com/valyala/fasthttp":              {"api"},
	"github.com/danielgtaylor/huma/v2":         {"api"},
	"github.com/eclipse/paho.golang":           {"sim"},
	"github.com/emersion/go-smtp":              {"sim"},
	"github.com/emersion/go-sasl":              {"sim"},
	"github.com/wneessen/go-mail":              {"notify"},
	"github.com/twilio/twilio-go":              {"notify"},
	"github.com/appleboy/go-fcm":               {"notify"},
	"firebase.google.com/go/v4":                {"notify"}, // whose messages go-fcm sends
	"github.com/rickar/cal/v2":                 {"tariff"},
	"github.com/stripe/stripe-go/v76":          {"payment"},
	"github.com/sony/gobreaker/v2":             {"dispatch"},
	"github.com/alecthomas/kong":               {"cmd"},
	"golang.org/x/term":                        {"cmd"},
	"golang.org/x/sys":                         {"schema", "live", "cmd"},
	"github.com/prometheus/client_golang":      {"broker", "ingest", "schema", "account", "notify", "dispatch", "safety", "payment", "api", "cmd"},
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestArrowsAreOnThePlan(t *testing.T) {
	t.Parallel()
	for _, pkg := range packages(t) {
		from, ok := strings.CutPrefix(pkg.ImportPath, module+"/")
		if !ok {
			continue // the root holds this test alone
		}
		row, planned := arrows[top(from)]
		if !planned {
			t.Errorf("%s: the folder %s is not on the plan", pkg.ImportPath, top(from))
			continue
		}
		forTests := slices.Contains(support, from)
		for _, path := range pkg.Imports {
			checkArrow(t, from, path, row, forTests)
		}
		for _, path := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
			checkArrow(t, from, path, row, true)
		}
	}
}

func checkArrow(t *testing.T, from, path string, row []string, test bool) {
	t.Helper()
	to, ours := strings.CutPrefix(path, module+"/")
	switch {
	case !ours:
		if !test {
			checkHome(t, from, path)
		}
	case to == from:
	case test && slices.ContainsFunc(inTests, func(p string) bool { return to == p || strings.HasPrefix(to, p+"/") }):
	case test && top(to) == top(from):
	case from != top(from) && to == top(from):
		t.Errorf("%s imports its parent %s", from, to)
	case !slices.Contains(row, top(to)):
		t.Errorf("%s imports %s: that arrow is not on the plan", from, to)
	}
}

func checkHome(t *testing.T, from, path string) {
	t.Helper()
	if domain, _, _ := strings.Cut(path, "/"); !strings.Contains(domain, ".") {
		return // the standard library
	}
	for mod, folders := range homes {
		if path == mod || strings.HasPrefix(path, mod+"/") {
			if !slices.Contains(folders, top(from)) {
				t.Errorf("%s imports %s, whose home is %s", from, path, strings.Join(folders, ", "))
			}
			return
		}
	}
	t.Errorf("%s imports %s: that module has no home on the plan", from, path)
}

func top(path string) string {
	folder, _, _ := strings.Cut(path, "/")
	return folder
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg goPackage
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, pkg)
	}
}
