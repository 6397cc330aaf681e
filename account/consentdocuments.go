package account

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"armora/fleet"
)

//go:embed consents/*/*.md
var consentFiles embed.FS

// consentDocuments are all that were ever in force, or will be, by kind and
// version. Each is a file, consents/<kind>/<version>.md: headers, as a mail has
// them, an empty line, and the text. A text that anybody may have agreed to is
// not changed any more: a new version is a new file, in force from a day to come.
type consentDocuments []fleet.ConsentDocument

func loadConsents(files fs.FS) (all consentDocuments, err error) {
	names, err := fs.Glob(files, "consents/*/*.md")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		d, err := readConsent(name, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b fleet.ConsentDocument) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
	})
	for i, d := range all[min(1, len(all)):] {
		if before := &all[i]; before.Kind == d.Kind && !before.InForce.Before(d.InForce) {
			return nil, fmt.Errorf("version %d of %s is not in force later than the one before", d.Version, d.Kind)
		}
	}
	return all, nil
}

func readConsent(name string, file []byte) (d fleet.ConsentDocument, err error) {
	reader := textproto.NewReader(bufio.NewReader(bytes.NewReader(file)))
	head, err := reader.ReadMIMEHeader()
	if err != nil {
		return d, err
	}
	text, err := io.ReadAll(reader.R)
	if err != nil {
		return d, err
	}
	hash := sha256.Sum256(text)
	d = fleet.ConsentDocument{
		Kind: path.Base(path.Dir(name)), Title: head.Get("Title"), Language: head.Get("Language"), Text: string(text), Hash: hash[:],
	}
	if d.Version, err = strconv.Atoi(strings.TrimSuffix(path.Base(name), ".md")); err != nil || d.Version < 1 {
		return d, errors.New("is not named by a version")
	}
	if d.Title == "" || d.Text == "" || checkLanguage(d.Language) != nil {
		return d, errors.New("lacks a title, a language or a text")
	}
	if d.InForce, err = time.Parse(time.DateOnly, head.Get("In-Force")); err != nil {
		return d, err
	}
	if d.Required, err = strconv.ParseBool(head.Get("Required")); err != nil {
		return d, err
	}
	for word := range strings.FieldsFuncSeq(head.Get("Asked-Of"), func(r rune) bool { return r == ',' || r == ' ' }) {
		role := fleet.Role(word)
		if !slices.Contains(fleet.Roles(), role) {
			return d, fmt.Errorf("is asked of %q, which is no role", word)
		}
		d.AskedOf = append(d.AskedOf, role)
	}
	return d, nil
}

// get returns a version of a kind.
func (all consentDocuments) get(kind string, version int) (fleet.ConsentDocument, bool) {
	i := slices.IndexFunc(all, func(d fleet.ConsentDocument) bool { return d.Kind == kind && d.Version == version })
	if i < 0 {
		return fleet.ConsentDocument{}, false
	}
	return all[i], true
}

// inForce returns the newest version of each kind that is in force at a time.
func (all consentDocuments) inForce(now time.Time) (found []fleet.ConsentDocument) {
	for _, d := range all {
		switch last := len(found) - 1; {
		case now.Before(d.InForce):
		case last >= 0 && found[last].Kind == d.Kind:
			found[last] = d
		default:
			found = append(found, d)
		}
	}
	return found
}

// current returns the version of a kind that is in force at a time.
func (all consentDocuments) current(kind string, now time.Time) (fleet.ConsentDocument, bool) {
	found := all.inForce(now)
	i := slices.IndexFunc(found, func(d fleet.ConsentDocument) bool { return d.Kind == kind })
	if i < 0 {
		return fleet.ConsentDocument{}, false
	}
	return found[i], true
}
