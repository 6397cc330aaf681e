package stripe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// form is what was sent, by the names that were used: amount, metadata[booking],
// items[0][price].
type form map[string][]string

func (f form) str(name string) string {
	if v := f[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (f form) or(name, otherwise string) string {
	if v := f.str(name); v != "" {
		return v
	}
	return otherwise
}

// num is a number that was checked before; 0 when it is absent.
func (f form) num(name string) int64 {
	n, _ := strconv.ParseInt(f.str(name), 10, 64)
	return n
}

func (f form) yes(name string) bool { return f.str(name) == "true" }

// has reports whether a parameter or a part of it was sent.
func (f form) has(name string) bool {
	for key := range f {
		if key == name || strings.HasPrefix(key, name+"[") {
			return true
		}
	}
	return false
}

// list is an array of plain values: name[] or name[0], name[1]….
func (f form) list(name string) []string {
	values := slices.Clone(f[name+"[]"])
	for i := range 100 {
		v, ok := f[fmt.Sprintf("%s[%d]", name, i)]
		if !ok {
			break
		}
		values = append(values, v...)
	}
	return values
}

// amend applies the metadata that was sent: an empty value takes a name away.
func (f form) amend(metadata map[string]string) map[string]string {
	amended := map[string]string{}
	for k, v := range metadata {
		amended[k] = v
	}
	if v, sent := f["metadata"]; sent && len(v) > 0 && v[0] == "" {
		amended = map[string]string{}
	}
	for key, v := range f {
		name, ok := strings.CutPrefix(key, "metadata[")
		if name = strings.TrimSuffix(name, "]"); !ok || len(v) == 0 {
			continue
		}
		if v[0] == "" {
			delete(amended, name)
		} else {
			amended[name] = v[0]
		}
	}
	return amended
}

// rules say what an endpoint takes.
type rules map[string]rule

type rule struct {
	required, number bool
	oneOf            []string
}

// parseRules reads words of the form name, name! (required), name:int and
// name=one|of|these.
func parseRules(params string) rules {
	all := rules{"expand": {}, "metadata": {}}
	for word := range strings.FieldsSeq(params) {
		var r rule
		name, choice, limited := strings.Cut(word, "=")
		if limited {
			r.oneOf = strings.Split(choice, "|")
		}
		name, r.number = strings.CutSuffix(name, ":int")
		name, r.required = strings.CutSuffix(name, "!")
		all[name] = r
	}
	return all
}

// check is what Stripe does before an endpoint begins.
func (all rules) check(f form) error {
	names := make([]string, 0, len(f))
	for key := range f {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, key := range names {
		name, _, _ := strings.Cut(key, "[")
		r, known := all[name]
		value := f.str(key)
		switch {
		case !known:
			return invalid("parameter_unknown", key, "Received unknown parameter: %s", key)
		case r.required && value == "":
			return invalid("parameter_invalid_empty", key, "You passed an empty string for '%s'.", key)
		case r.number && key == name:
			if _, err := strconv.ParseInt(value, 10, 64); err != nil {
				return invalid("parameter_invalid_integer", key, "Invalid integer: %s", value)
			}
		case r.oneOf != nil && key == name && value != "" && !slices.Contains(r.oneOf, value):
			return invalid("", key, "Invalid %s: must be one of %s", key, strings.Join(r.oneOf, ", "))
		}
	}
	for name, r := range all {
		if r.required && !f.has(name) {
			return invalid("parameter_missing", name, "Missing required param: %s.", name)
		}
	}
	return nil
}
