package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"armora/schema"
)

// auditCommand is about the audit log.
type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check that nothing in the audit log was changed, taken out or put in; exit code 1 if something was."`
}

// auditVerifyCommand checks the whole chain.
type auditVerifyCommand struct {
	settings `embed:""`

	Anchor []string `placeholder:"SEQ:HASH" help:"A head that an earlier check has printed, kept elsewhere: finds a chain that was made anew."`
}

// Run implements the command.
func (c *auditVerifyCommand) Run(ctx context.Context, cli *cli, to console) error {
	anchors, err := readAnchors(c.Anchor)
	if err != nil {
		return err
	}
	return c.withDatabase(ctx, cli.logger(to.err), func(db *schema.DB) error {
		r, err := schema.Audit{DB: db}.Verify(ctx, anchors...)
		if err != nil {
			return err
		}
		line := func(what, format string, args ...any) {
			_, _ = fmt.Fprintf(to.out, "  %-15s %s\n", what, fmt.Sprintf(format, args...))
		}
		if r.Break != "" {
			line("good until", "seal %d", r.Head.Seq)
			return errors.New("the audit log is not what was written: " + r.Break)
		}
		line("seals", "%d", r.Seals)
		line("entries", "%d, and %d that retention has deleted", r.Entries, r.Retired)
		line("not yet sealed", "%d", r.Tail)
		if r.Seals > 0 {
			line("head", "%d:%s", r.Head.Seq, hex.EncodeToString(r.Head.Hash))
		}
		return nil
	})
}

// readAnchors reads heads as they were printed.
func readAnchors(texts []string) ([]schema.AuditAnchor, error) {
	anchors := make([]schema.AuditAnchor, 0, len(texts))
	for _, text := range texts {
		number, rest, _ := strings.Cut(text, ":")
		seq, err := strconv.ParseInt(number, 10, 64)
		hash, bad := hex.DecodeString(rest)
		if err != nil || bad != nil || seq < 1 || len(hash) == 0 {
			return nil, fmt.Errorf("--anchor %q is not a head as armora admin audit verify prints it", text)
		}
		anchors = append(anchors, schema.AuditAnchor{Seq: seq, Hash: hash})
	}
	return anchors, nil
}
