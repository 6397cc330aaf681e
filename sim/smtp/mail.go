package smtp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// Mail is a mail as its reader sees it.
type Mail struct {
	From    string   // of the envelope
	To      []string // of the envelope
	Header  mail.Header
	Subject string // decoded
	Body    string // decoded plain text, its lines ended by \n
}

// read takes a mail of one part of plain text apart.
func (m *Mail) read(raw []byte) error {
	letter, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	m.Header = letter.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject")); err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil || kind != "text/plain" {
		return fmt.Errorf("a mail of type %q, not text/plain: %w", kind, err)
	}
	body := letter.Body
	switch strings.ToLower(letter.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	m.Body = strings.ReplaceAll(string(text), "\r\n", "\n")
	return err
}
