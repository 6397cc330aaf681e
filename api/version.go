package api

import (
	"strconv"
	"strings"

	"armora/fleet"
)

// IfMatch is the parameter of an operation that changes what has a version. The
// version is checked by the statement that makes the change; see wanted.
type IfMatch struct {
	IfMatch string `header:"If-Match" doc:"ETag of what is to be changed, as it was read; absent or *: whatever it is now" maxLength:"64"`
}

// etag is a version as an entity tag (RFC 9110).
func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// wanted returns the version that the caller has seen, 0 for any.
func (m IfMatch) wanted() (int64, error) {
	tag := strings.TrimSpace(m.IfMatch)
	if tag == "" || tag == "*" {
		return 0, nil
	}
	digits, quoted := strings.CutPrefix(tag, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !quoted || !closed || version <= 0 || etag(version) != tag {
		// No version of ours: it cannot match, as RFC 9110 has it.
		return 0, versionMismatch()
	}
	return version, nil
}

// check fails with CodeVersionMismatch unless version is one that the caller
// has seen: for what has been read under a lock.
func (m IfMatch) check(version int64) error {
	wanted, err := m.wanted()
	if err == nil && wanted != 0 && wanted != version {
		err = versionMismatch()
	}
	return err
}

func versionMismatch() error {
	return &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "it has changed since you read it: read it again"}
}
