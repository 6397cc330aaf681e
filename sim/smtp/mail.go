package smtp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
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
	Files   []File
}

// File is what is attached to a mail.
type File struct {
	Name    string
	Content []byte // decoded
}

// read takes a mail apart: plain text, and what is attached to it.
func (m *Mail) read(raw []byte) error {
	letter, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	m.Header = letter.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject")); err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return m.readText(kind, letter.Header.Get("Content-Transfer-Encoding"), letter.Body)
	}
	parts := multipart.NewReader(letter.Body, params["boundary"])
	for first := true; ; first = false {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		encoding := part.Header.Get("Content-Transfer-Encoding")
		if first {
			kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
			err = m.readText(kind, encoding, part)
		} else {
			file := File{Name: part.FileName()}
			file.Content, err = io.ReadAll(decoded(encoding, part))
			m.Files = append(m.Files, file)
		}
		if err != nil {
			return err
		}
	}
}

func (m *Mail) readText(kind, encoding string, body io.Reader) error {
	if kind != "text/plain" {
		return fmt.Errorf("a text of type %q, not text/plain", kind)
	}
	text, err := io.ReadAll(decoded(encoding, body))
	m.Body = strings.ReplaceAll(string(text), "\r\n", "\n")
	return err
}

func decoded(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	}
	return body
}
