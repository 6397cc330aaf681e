package account

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"

	"armora/fleet"
)

//go:embed questionnaire/*.json preferences/*.json
var formFiles embed.FS

// form is one version of a document that people fill in. Everything about it is
// in its JSON Schema, a file named after the version: a new version is a new
// file, and needs neither code nor a migration.
type form struct {
	version int
	text    json.RawMessage
	whole   *jsonschema.Schema
	parts   map[string]*jsonschema.Schema // by the name of a step, and of every other member
	notes   formNotes
}

// formNotes are what a form's schema says besides what validation knows.
type formNotes struct {
	Required   []string
	Properties map[string]struct {
		Sealed     bool `json:"x-sealed"`
		Properties map[string]struct {
			Weight int `json:"x-weight"`
		}
	}
	Bands []struct {
		Band fleet.RiskBand
		From int
	} `json:"x-bands"`
}

// forms are the versions of a document, the oldest first.
type forms []*form

// loadForms reads v1.json and so on from a folder.
func loadForms(files fs.FS, folder string) (forms, error) {
	var all forms
	for version := 1; ; version++ {
		text, err := fs.ReadFile(files, path.Join(folder, fmt.Sprintf("v%d.json", version)))
		if errors.Is(err, fs.ErrNotExist) && version > 1 {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		f, err := newForm(version, text)
		if err != nil {
			return nil, fmt.Errorf("form %s v%d: %w", folder, version, err)
		}
		all = append(all, f)
	}
}

func (all forms) newest() *form { return all[len(all)-1] }

// get returns the form of a version: of a document that a later hub has written
// this one knows nothing.
func (all forms) get(version int) (*form, error) {
	if version < 1 || version > len(all) {
		return nil, fmt.Errorf("form version %d is not known to this hub", version)
	}
	return all[version-1], nil
}

func newForm(version int, text []byte) (*form, error) {
	f := &form{version: version, text: text, parts: make(map[string]*jsonschema.Schema)}
	if err := json.Unmarshal(text, &f.notes); err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	const url = "form.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.RegisterFormat(&jsonschema.Format{Name: "zone", Validate: ofText(checkZone)})
	compiler.RegisterFormat(&jsonschema.Format{Name: "language", Validate: ofText(checkLanguage)})
	if err := compiler.AddResource(url, document); err != nil {
		return nil, err
	}
	if f.whole, err = compiler.Compile(url); err != nil {
		return nil, err
	}
	for name := range f.notes.Properties {
		if f.parts[name], err = compiler.Compile(url + "#/properties/" + name); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// ofText makes a check of texts one of JSON values, as formats are.
func ofText(check func(string) error) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); ok {
			return check(s)
		}
		return nil
	}
}

// checkZone takes the names of the IANA time zone database. Local and "" mean
// something else on each machine.
func checkZone(name string) error {
	if name == "" || name == "Local" {
		return errors.New("is not an IANA time zone")
	}
	_, err := time.LoadLocation(name)
	return err
}

func checkLanguage(tag string) error {
	_, err := language.Parse(tag)
	return err
}

// validate checks a document, or one part of it, and tells all its flaws.
func validate(s *jsonschema.Schema, at string, document json.RawMessage) []fleet.Flaw {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return []fleet.Flaw{{Location: at, Message: "is not JSON"}}
	}
	err = s.Validate(value)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []fleet.Flaw{{Location: at, Message: "does not fit the form"}}
	}
	return flawsOf(invalid, at, nil)
}

// flawsOf collects the leaves of a validation error. Their texts are our own:
// the library's repeat the value.
func flawsOf(e *jsonschema.ValidationError, at string, flaws []fleet.Flaw) []fleet.Flaw {
	for _, cause := range e.Causes {
		flaws = flawsOf(cause, at, flaws)
	}
	if len(e.Causes) > 0 {
		return flaws
	}
	location := e.InstanceLocation
	if at != "" {
		location = slices.Concat([]string{at}, location)
	}
	return append(flaws, fleet.Flaw{Location: strings.Join(location, "."), Message: flawMessage(e.ErrorKind)})
}

func flawMessage(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return "has members that the form does not know"
	case *kind.Type:
		return "is not of type " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return fmt.Sprintf("is not one of %v", k.Want)
	case *kind.Const:
		return fmt.Sprintf("is not %v", k.Want)
	case *kind.Format:
		return "is not in the format " + k.Want
	}
	return "breaks the form's rule " + strings.Join(k.KeywordPath(), ".")
}

// refused makes an error of flaws, nil of none.
func refused(document string, flaws []fleet.Flaw) error {
	if len(flaws) == 0 {
		return nil
	}
	const most = 50 // a document can be wrong in more places than are worth telling
	return &fleet.Error{Code: fleet.CodeInvalid, Message: document + " does not fit its form", Flaws: flaws[:min(len(flaws), most)]}
}
