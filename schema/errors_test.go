package schema

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"armora/fleet"
)

func TestErrorsAreTranslatedOnce(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return &pgconn.PgError{Code: code, Message: "as the server says"} }
	for _, c := range []struct {
		err  error
		code fleet.Code
		bad  bool // IsBadRow
	}{
		{pgx.ErrNoRows, fleet.CodeNotFound, false},
		{state("23505"), fleet.CodeConflict, true},
		{state("23503"), fleet.CodeInvalid, true},
		{state("22021"), fleet.CodeInvalid, true}, // NUL in text
		{state("22P05"), fleet.CodeInvalid, true},
		{state("57P01"), fleet.CodeUnavailable, false}, // the server stops
		{state("57P03"), fleet.CodeUnavailable, false}, // it starts
		{state("57014"), fleet.CodeUnavailable, false}, // statement_timeout
		{state("53100"), fleet.CodeUnavailable, false}, // disk full
		{state("53300"), fleet.CodeUnavailable, false}, // too many connections
		{state("58030"), fleet.CodeUnavailable, false}, // I/O error
		{state("40P01"), fleet.CodeUnavailable, false}, // deadlock
		{state("55P03"), fleet.CodeUnavailable, false}, // lock_timeout
		{state("25P03"), fleet.CodeUnavailable, false}, // idle_in_transaction_session_timeout
		{state("54000"), fleet.CodeInvalid, true},      // too large for an index
		{state("54001"), fleet.CodeInvalid, true},      // JSON that is nested too deeply
		{state("42P01"), fleet.CodeInternal, false},    // no such table
		{io.ErrUnexpectedEOF, fleet.CodeUnavailable, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, fleet.CodeUnavailable, false},
		{context.DeadlineExceeded, fleet.CodeUnavailable, false},
		{errors.New("can't scan into dest[0]"), fleet.CodeInternal, false},
		{&fleet.Error{Code: fleet.CodeTooMany}, fleet.CodeTooMany, false},
	} {
		got := translate("thing", c.err)
		if fleet.CodeOf(got) != c.code || IsBadRow(got) != c.bad {
			t.Errorf("%v became %v: code %q, bad row %v; want %q, %v", c.err, got, fleet.CodeOf(got), IsBadRow(got), c.code, c.bad)
		}
		if again := translate("other", got); !errors.Is(again, got) {
			t.Errorf("%v was translated twice, to %v", got, again)
		}
	}
	if translate("thing", nil) != nil || IsBadRow(nil) {
		t.Error("no error became one")
	}
}
