package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// sampler makes values that a schema of the document takes.
type sampler struct {
	*rand.Rand
	registry huma.Registry
	now      time.Time
}

// value makes one. Of what may be left out, half is.
func (s *sampler) value(schema *huma.Schema) any {
	if schema.Ref != "" {
		schema = s.registry.SchemaFromRef(schema.Ref)
	}
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[s.IntN(len(schema.Enum))]
	case len(schema.Examples) > 0 && schema.Pattern != "":
		return schema.Examples[0]
	case len(schema.OneOf) > 0:
		return s.value(schema.OneOf[s.IntN(len(schema.OneOf))])
	}
	switch schema.Type {
	case huma.TypeObject:
		return s.object(schema)
	case huma.TypeArray:
		list := []any{}
		least, most := or(schema.MinItems, 0), min(or(schema.MaxItems, 3), or(schema.MinItems, 0)+3)
		for range least + s.IntN(most-least+1) {
			list = append(list, s.value(schema.Items))
		}
		if schema.UniqueItems {
			list = unique(list)
		}
		return list
	case huma.TypeString:
		return s.text(schema)
	case huma.TypeInteger:
		low, high := s.bounds(schema)
		return int(low) + s.IntN(max(1, int(high-low)+1))
	case huma.TypeNumber:
		low, high := s.bounds(schema)
		return low + s.Float64()*(high-low)
	case huma.TypeBoolean:
		return s.IntN(2) == 0
	}
	return map[string]any{"any": s.IntN(100)}
}

func (s *sampler) object(schema *huma.Schema) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name]
		if slices.Contains(schema.Required, name) || s.IntN(2) == 0 && !property.ReadOnly {
			object[name] = s.value(property)
		}
	}
	return object
}

func (s *sampler) bounds(schema *huma.Schema) (low, high float64) {
	low, high = 0, 1000
	switch {
	case schema.Minimum != nil:
		low = *schema.Minimum
	case schema.ExclusiveMinimum != nil:
		low = *schema.ExclusiveMinimum + 1
	}
	high = max(low+1, high)
	switch {
	case schema.Maximum != nil:
		high = *schema.Maximum
	case schema.ExclusiveMaximum != nil:
		high = *schema.ExclusiveMaximum - 1
	}
	return low, math.Min(high, low+1e6)
}

func (s *sampler) text(schema *huma.Schema) any {
	switch schema.Format {
	case "uuid":
		return fleet.NewID[fleet.Device]().String()
	case "date-time":
		return s.now.Add(time.Duration(s.IntN(1000)-300) * time.Hour).Format(time.RFC3339)
	case "date":
		return s.now.AddDate(0, 0, s.IntN(1000)-300).Format(time.DateOnly)
	case "email":
		return fmt.Sprintf("x%d@example.com", s.IntN(1000))
	case "uri":
		return "https://example.com/"
	case "json", "byte", "binary":
		return json.RawMessage(`"YQ=="`)
	}
	least := or(schema.MinLength, 0)
	length := least + s.IntN(min(or(schema.MaxLength, 40), least+40)-least+1)
	if schema.Pattern != "" { // digits are what the patterns of ours take most often
		return strings.Repeat("7", length)
	}
	letters := []rune("abcdefghij klmnop-é漢😀'\"%_\\0123456789")
	word := make([]rune, length)
	for i := range word {
		word[i] = letters[s.IntN(len(letters))]
	}
	return string(word)
}

func or(p *int, standard int) int {
	if p == nil {
		return standard
	}
	return *p
}

// unique drops what is there twice.
func unique(list []any) []any {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v any) bool {
		key := fmt.Sprint(v)
		was := seen[key]
		seen[key] = true
		return was
	})
}
