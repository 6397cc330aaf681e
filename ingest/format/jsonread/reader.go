// Package jsonread reads JSON the way position parsers need it: strictly, in
// one pass, straight from the payload, without building a tree and without
// allocating.
//
// The grammar is RFC 8259 to the letter, by encoding/json's own next
// tokenizer: no NaN or Infinity, no invalid UTF-8, nothing after the value,
// and no name twice in one object, since two readers of such a message could
// see two positions. Nesting deeper than 10,000 is an error. What is lenient is
// stated: a number may stand in quotes, as several trackers send it.
//
// A Reader keeps its first error, like bufio.Scanner, and reads nothing more
// after it, so that parsers look at it once, at the end.
package jsonread

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader walks over one JSON text. Open makes one; it is not safe for
// concurrent use.
type Reader struct {
	dec     jsontext.Decoder
	payload bytes.Buffer // a view of the caller's payload, never written to
	name    []byte       // the current member's name; a view of the payload or of scratch
	scratch []byte       // owned: names with escapes, unquoted
	text    []byte       // owned: text with escapes, unquoted
	records int          // how many Each has seen in this message
	err     error
}

// maxKept bounds what an idle Reader in the pool may hold on to.
const maxKept = 4 << 10

var readers = sync.Pool{New: func() any { return new(Reader) }}

// Open returns a Reader at the start of payload, which stays the caller's and
// must not change before Close.
func Open(payload []byte) *Reader {
	r := readers.Get().(*Reader)
	r.payload = *bytes.NewBuffer(payload)
	r.dec.Reset(&r.payload)
	if len(payload) == 0 {
		r.err = errors.New("the payload is empty")
	}
	return r
}

// Close gives the Reader back. Nothing that it returned may be used after.
func (r *Reader) Close() {
	if cap(r.scratch) > maxKept || cap(r.text) > maxKept {
		r.scratch, r.text = nil, nil
	}
	r.payload = bytes.Buffer{} // or the pool would keep the payload alive
	r.dec.Reset(&r.payload)
	r.name, r.records, r.err = nil, 0, nil
	readers.Put(r)
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Fail records err as the Reader's error unless there is one already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// End records an error if anything follows the value that was read, and
// returns the Reader's first error.
func (r *Reader) End() error {
	if r.err == nil {
		if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
			r.Fail(fmt.Errorf("invalid JSON: more follows at byte %d, after the end of the message", r.dec.InputOffset()))
		}
	}
	return r.err
}

// The kinds of JSON value.
const (
	Object = jsontext.KindBeginObject
	Array  = jsontext.KindBeginArray
	String = jsontext.KindString
	Number = jsontext.KindNumber
	Null   = jsontext.KindNull
)

// Next returns the kind of the value that comes next, 0 after an error.
func (r *Reader) Next() jsontext.Kind {
	if r.err != nil {
		return 0
	}
	return r.dec.PeekKind()
}

// Begin enters the object or array that comes next. what names the value in
// the error if it is something else.
func (r *Reader) Begin(kind jsontext.Kind, what string) bool {
	if got := r.Next(); got == kind || got == jsontext.KindInvalid {
		return r.token()
	}
	r.Fail(fmt.Errorf("%s is %s where %s is wanted", what, kindName(r.Next()), kindName(kind)))
	return false
}

// Member moves to the next member of the object that was entered, and past the
// object's end, where it returns false. Read its value, or Skip it, before the
// next call.
func (r *Reader) Member() bool {
	if r.Next() == jsontext.KindEndObject {
		r.token()
		return false
	}
	raw, ok := r.value()
	if !ok {
		return false
	}
	r.name, r.scratch = unquote(raw, r.scratch)
	return true
}

// Name returns the current member's name, valid until the next call of Member.
// After a nested object it is the name of that object's last member.
func (r *Reader) Name() []byte { return r.name }

// Element reports whether the array that was entered has another element, and
// moves past the array's end when it has not.
func (r *Reader) Element() bool {
	if r.Next() == jsontext.KindEndArray {
		r.token()
		return false
	}
	return r.err == nil
}

// Skip passes over the next value, whatever it is, and checks its grammar.
func (r *Reader) Skip() {
	if r.err == nil {
		r.failSyntax(r.dec.SkipValue())
	}
}

func (r *Reader) token() bool {
	if r.err != nil {
		return false
	}
	_, err := r.dec.ReadToken()
	return r.failSyntax(err)
}

// value returns the next value as it stands in the payload, valid until the
// next read.
func (r *Reader) value() (jsontext.Value, bool) {
	if r.err != nil {
		return nil, false
	}
	raw, err := r.dec.ReadValue()
	return raw, r.failSyntax(err)
}

// failSyntax words the tokenizer's error without its JSON pointer, which is
// made of the payload's own names and so may be as long as the payload.
func (r *Reader) failSyntax(err error) bool {
	if err == nil {
		return true
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(s.Err, jsontext.ErrDuplicateName) {
			err = fmt.Errorf("invalid JSON: the name %.40q stands twice in one object, at byte %d", s.JSONPointer.LastToken(), s.ByteOffset)
		} else {
			err = fmt.Errorf("invalid JSON: %w, at byte %d", s.Err, s.ByteOffset)
		}
	} else if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = fmt.Errorf("invalid JSON: it ends too early, at byte %d", r.dec.InputOffset())
	} else {
		err = fmt.Errorf("invalid JSON: %w", err)
	}
	r.Fail(err)
	return false
}

// unquote returns what a JSON string says: a view of raw when it has no
// escapes, else of the buffer, which it returns for the next time.
func unquote(raw jsontext.Value, buffer []byte) (text, kept []byte) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, buffer
	}
	// The tokenizer has checked raw, so that unquoting it cannot fail.
	buffer, _ = jsontext.AppendUnquote(buffer[:0], raw)
	return buffer, buffer
}

func kindName(k jsontext.Kind) string {
	switch k {
	case Object:
		return "an object"
	case Array:
		return "an array"
	case String:
		return "a string"
	case Number:
		return "a number"
	case Null:
		return "null"
	default:
		return "a boolean"
	}
}
