package notify

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/template"
	"time"
	"unicode"

	"armora/fleet"
)

// files are the templates: a folder for each language, in it a file for each
// kind of notice and channel. The first line of a mail, or a push, is its subject.
//
//go:embed templates
var files embed.FS

// fallback is the language of whoever has not chosen one, and of what is not
// translated. Every kind of notice is written in it.
const fallback = "en"

// phrases are what every message of a language has in common.
type phrases struct {
	signature string // ends every mail
	// openApp is all that a push says of what a mail says too: others may see the
	// screen of a phone.
	openApp   string
	reference string // before the name by which a repeat is seen

	day, moment, when string // layouts of times
}

// spoken are the languages that there is a folder for.
var spoken = map[string]phrases{
	fallback: {
		signature: "\n-- \nARMORA. This message was sent by a machine: an answer is not read.\n",
		openApp:   "Open ARMORA to read it.",
		reference: "Ref. ",
		day:       "2 January 2006", moment: "2 January 2006, 15:04 MST", when: "Monday 2 January, 15:04",
	},
}

// templates are the forms of notices by language.
type templates map[string]*forms

// forms fill notices in one language.
type forms struct {
	phrases
	all *template.Template
	or  *forms // of what is not translated; nil: everything is
}

func readTemplates() (templates, error) {
	folder, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	return readLanguages(folder, spoken)
}

// readLanguages reads a folder of folders, one for each of the languages.
func readLanguages(folder fs.FS, languages map[string]phrases) (templates, error) {
	in := make(templates, len(languages))
	for language, p := range languages {
		f := &forms{phrases: p}
		kinds, err := fs.Sub(folder, language)
		if err == nil {
			f.all, err = template.New("").Option("missingkey=error").Funcs(f.functions()).ParseFS(kinds, "*.txt")
		}
		if err != nil {
			return nil, fmt.Errorf("read the templates of notices: %w", err)
		}
		in[language] = f
	}
	for language, f := range in {
		if language != fallback {
			f.or = in[fallback]
		}
	}
	return in, nil
}

// in returns the forms of a language, BCP 47, or of the nearest that there is:
// de-AT is told in de.
func (t templates) in(language string) *forms {
	for language = strings.ToLower(language); language != ""; {
		if f, ok := t[language]; ok {
			return f
		}
		shorter := strings.LastIndexByte(language, '-')
		language = language[:max(shorter, 0)]
	}
	return t[fallback]
}

// functions are what templates may call.
func (p *phrases) functions() template.FuncMap {
	return template.FuncMap{
		"words": words,
		// The date of a time in RFC 3339, and with the time of day.
		"day":    func(at string) (string, error) { return format(at, "", p.day) },
		"moment": func(at string) (string, error) { return format(at, "", p.moment) },
		// A time in RFC 3339 as the clocks of a zone show it.
		"when": func(at, zone string) (string, error) { return format(at, zone, p.when) },
	}
}

// find returns what a kind is written by for a channel: itself, or the mail that
// says the same in the app, and whose subject is the title of a push. It is nil if
// the language has neither.
func (f *forms) find(channel fleet.Channel, kind string) (form *template.Template, as fleet.Channel) {
	if form = f.all.Lookup(kind + "." + string(channel) + ".txt"); form != nil || channel == fleet.SMSChannel {
		return form, channel
	}
	return f.all.Lookup(kind + "." + string(fleet.MailChannel) + ".txt"), fleet.MailChannel
}

// fill writes the message of a kind. The error quotes none of the data.
func (f *forms) fill(channel fleet.Channel, kind string, data map[string]string) (Message, error) {
	form, as := f.find(channel, kind)
	if form == nil && f.or != nil {
		return f.or.fill(channel, kind, data)
	}
	if form == nil {
		return Message{}, fmt.Errorf("there is no template of a %s of kind %s", channel, kind)
	}
	lines := make(map[string]string, len(data))
	for key, value := range data {
		lines[key] = oneLine(value)
	}
	var text strings.Builder
	if err := form.Execute(&text, lines); err != nil {
		return Message{}, fmt.Errorf("its template cannot be filled: %w", err)
	}
	if as == fleet.SMSChannel || as == fleet.VoiceChannel {
		return Message{Body: strings.TrimSpace(text.String())}, nil
	}
	head, body, _ := strings.Cut(text.String(), "\n")
	subject, ok := strings.CutPrefix(head, "Subject: ")
	switch {
	case !ok:
		return Message{}, fmt.Errorf("the template of kind %s has no subject", kind)
	case channel == fleet.PushChannel && as != channel:
		return Message{Subject: subject, Body: f.openApp}, nil
	case channel == fleet.MailChannel:
		return Message{Subject: subject, Body: strings.TrimLeft(body, "\n") + f.signature}, nil
	}
	return Message{Subject: subject, Body: strings.TrimSpace(body)}, nil
}

// write is fill for a notice, whose reference a notice of safety shows: by that one
// sees that one was told before.
func (f *forms) write(n *fleet.Notice, data map[string]string) (Message, error) {
	m, err := f.fill(n.Channel, n.Kind, data)
	if err != nil || !n.Safety() {
		return m, err
	}
	between := "\n"
	if n.Channel == fleet.SMSChannel || n.Channel == fleet.PushChannel {
		between = " "
	}
	m.Body += between + f.reference + n.Reference()
	return m, nil
}

// oneLine keeps a value, which a stranger may have chosen, from making lines or
// headers of its own.
func oneLine(value string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, value)
}

// format writes a time in RFC 3339; in no zone it is as it says itself.
func format(at, zone, layout string) (string, error) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "", errors.New("it holds a time that is not RFC 3339")
	}
	if zone != "" {
		place, err := time.LoadLocation(zone)
		if err != nil {
			return "", errors.New("it holds a time zone that there is not")
		}
		t = t.In(place)
	}
	return t.Format(layout), nil
}

// words writes a name of the database, right_to_work, as people do.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
