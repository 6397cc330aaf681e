package fleet

import (
	"errors"
	"time"
)

// Code names a failure in a way that callers may rely on. Each edge (HTTP,
// MQTT) translates it once.
type Code string

// The codes.
const (
	CodeInvalid         Code = "invalid"         // the request itself is wrong
	CodeUnauthenticated Code = "unauthenticated" // nobody, or not who they say
	CodeForbidden       Code = "forbidden"       // somebody, but not allowed
	CodeOTPNeeded       Code = "otp_needed"      // right so far: the second factor is missing
	CodeApprovalNeeded  Code = "approval_needed" // allowed once a second person has agreed
	CodeLinkNeeded      Code = "link_needed"     // the address has an account, which has to link this way to sign in
	CodeConsentNeeded   Code = "consent_needed"  // allowed to whoever has agreed to what is required; the flaws say to what
	CodeStaleSignIn     Code = "stale_sign_in"   // allowed to whoever has just proved who they are
	CodeNotFound        Code = "not_found"
	CodeConflict        Code = "conflict"         // somebody else was first
	CodeVersionMismatch Code = "version_mismatch" // it has changed since the caller read it
	CodePaymentDue      Code = "payment_due"      // allowed once a debt is paid
	CodeArmed           Code = "armed_detail"     // there are no armed details
	CodeUnavailable     Code = "unavailable"      // a dependency is away: try again
	CodeTooMany         Code = "too_many"         // a limit of the caller's was reached
	CodeTooLarge        Code = "too_large"
	CodeMediaType       Code = "unsupported_media_type"
	CodeInternal        Code = "internal"
)

// Error is a failure with a code and a sentence for the person who caused it.
// The sentence never holds a secret.
type Error struct {
	Code    Code
	Message string
	Err     error         // the cause, for logs; never shown to the caller
	Retry   time.Duration // when to try again; 0: nobody can say
	Flaws   []Flaw        // what is wrong with a document, one by one
}

// Flaw is one thing that is wrong with a document. It does not repeat the value,
// which may be a secret.
type Flaw struct {
	Location string // where it is: threats.stalking
	Message  string
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err, CodeInternal if it carries none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
