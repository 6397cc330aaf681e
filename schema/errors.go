package schema

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"armora/fleet"
)

// IsBadRow reports whether the data is at fault rather than the server: sent
// again alone, it would fail again. A batch that fails so is halved until the
// bad row is found.
func IsBadRow(err error) bool {
	if e, ok := errors.AsType[*fleet.Error](err); ok && e.Code == fleet.CodeInvalid {
		return true
	}
	return isDataError(sqlState(err))
}

// isDataError: class 22 is a value that cannot be, 23 one that breaks a constraint, 54
// one that is too large for an index or nested too deeply.
func isDataError(state string) bool {
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || strings.HasPrefix(state, "54")
}

// The SQLSTATEs that this package looks at.
const (
	uniqueViolation      = "23505"
	foreignKeyViolation  = "23503"
	exclusionViolation   = "23P01"
	serializationFailure = "40001"
	deadlock             = "40P01"
)

// translate gives err the code that callers rely on. noun is what was asked
// for, in the singular; the sentence that it makes is for a person.
func translate(noun string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fleet.Error](err); ok {
		return err
	}
	state := sqlState(err)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such " + noun}
	case state == uniqueViolation:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "this " + noun + " exists already", Err: err}
	case state == foreignKeyViolation:
		return noReferent(noun, err)
	case isDataError(state):
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "this " + noun + " cannot be stored", Err: err}
	case isAway(err, state):
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away, try again", Err: err}
	}
	return &fleet.Error{Code: fleet.CodeInternal, Message: noun + ": the database refused the statement", Err: err}
}

// noReferent is that something refers to what is not there, or must not be known to be.
func noReferent(noun string, err error) error {
	return &fleet.Error{Code: fleet.CodeInvalid, Message: "this " + noun + " refers to something that does not exist", Err: err}
}

// isAway reports whether the same statement may succeed later: the server
// cannot be reached, is starting, stopping or crashed (57P), is out of
// connections, memory or disk (53), has a failing disk (58), gave up on a lock
// or a deadline (55P03, 57014), on this hub in the middle of a transaction (25P03), or
// rolled back for another transaction's sake (40).
func isAway(err error, state string) bool {
	if state != "" {
		for _, class := range []string{"08", "40", "53", "57", "58", "55P03", "25P03"} {
			if strings.HasPrefix(state, class) {
				return true
			}
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, target := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, puddle.ErrClosedPool,
		context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, target) {
			return true
		}
	}
	return pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}
