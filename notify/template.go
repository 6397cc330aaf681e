package notify

import (
	"embed"
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

// language is the one that all are told in, until people can choose.
const language = "en"

// signature ends every mail.
const signature = "\n-- \nARMORA. This message was sent by a machine: an answer is not read.\n"

// openApp is all that a push says of what a mail says too: others may see the
// screen of a phone.
const openApp = "Open ARMORA to read it."

// templates fill notices.
type templates struct{ all *template.Template }

func readTemplates() (*templates, error) {
	folder, err := fs.Sub(files, "templates/"+language)
	if err != nil {
		return nil, err
	}
	all, err := template.New("").Option("missingkey=error").
		Funcs(template.FuncMap{"day": day, "moment": moment, "words": words}).ParseFS(folder, "*.txt")
	if err != nil {
		return nil, fmt.Errorf("read the templates of notices: %w", err)
	}
	return &templates{all}, nil
}

// fill writes the message of a kind. The error quotes none of the data.
func (t *templates) fill(channel fleet.Channel, kind string, data map[string]string) (Message, error) {
	as := channel
	if channel == fleet.InboxChannel {
		as = fleet.MailChannel // it says the same
	}
	if channel == fleet.PushChannel && t.all.Lookup(kind+".push.txt") == nil {
		as = fleet.MailChannel // whose subject is the title
	}
	form := t.all.Lookup(kind + "." + string(as) + ".txt")
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
	if channel == fleet.SMSChannel {
		return Message{Body: strings.TrimSpace(text.String())}, nil
	}
	head, body, _ := strings.Cut(text.String(), "\n")
	subject, ok := strings.CutPrefix(head, "Subject: ")
	if !ok {
		return Message{}, fmt.Errorf("the template of kind %s has no subject", kind)
	}
	if channel == fleet.PushChannel && as != channel {
		return Message{Subject: subject, Body: openApp}, nil
	}
	if channel == fleet.InboxChannel || channel == fleet.PushChannel {
		return Message{Subject: subject, Body: strings.TrimSpace(body)}, nil
	}
	return Message{Subject: subject, Body: strings.TrimLeft(body, "\n") + signature}, nil
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

// day writes the date of a time in RFC 3339.
func day(at string) (string, error) { return format(at, "2 January 2006") }

// moment writes the date and the time of day.
func moment(at string) (string, error) { return format(at, "2 January 2006, 15:04 MST") }

func format(at, layout string) (string, error) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "", fmt.Errorf("it holds a time that is not RFC 3339")
	}
	return t.Format(layout), nil
}

// words writes a name of the database, right_to_work, as people do.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
