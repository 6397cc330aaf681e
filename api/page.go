package api

import (
	"encoding/base64"
	"encoding/json"

	"armora/fleet"
)

// PageQuery are the parameters of every list. Like every type that is embedded
// in an operation's input or output it is exported, because huma passes over
// the fields of one that is not.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"512" doc:"next_cursor of the page before; absent: the first page"`
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor,omitempty" doc:"Gives the next page; absent on the last"`
}

type pageOutput[T any] struct{ Body page[T] }

// newPage cuts rows, which hold one more than limit when there is a next page,
// and shows them. position says what identifies a row's place in the list.
func newPage[R, T any](rows []R, limit int, show func(R) T, position func(R) any) (*pageOutput[T], error) {
	out := &pageOutput[T]{Body: page[T]{Items: make([]T, 0, min(limit, len(rows)))}}
	if len(rows) > limit {
		rows = rows[:limit]
		next, err := cursorOf(position(rows[limit-1]))
		if err != nil {
			return nil, err
		}
		out.Body.Next = next
	}
	for _, row := range rows {
		out.Body.Items = append(out.Body.Items, show(row))
	}
	return out, nil
}

// cursorOf writes a place in a list so that nobody takes it for anything but a
// word to hand back.
func cursorOf(position any) (string, error) {
	text, err := json.Marshal(position)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// readCursor reads what cursorOf wrote. No cursor leaves position as it is.
func readCursor(cursor string, position any) error {
	if cursor == "" {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, position)
	}
	if err != nil {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "the cursor is not one of this list", Err: err}
	}
	return nil
}

// showAll shows rows that come without pages. No rows are an empty list.
func showAll[R, T any](rows []R, show func(R) T) []T {
	items := make([]T, len(rows))
	for i, row := range rows {
		items[i] = show(row)
	}
	return items
}
