package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"armora/account"
	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// erasureJournal is where it is written down, outside of the database, who was
// erased.
func (s *settings) erasureJournal() string { return filepath.Join(s.dataDir(), "erasures.journal") }

// openPrivacy opens exports and erasures. What a restored database has forgotten is
// erased again before anybody can use it.
func (h *hub) openPrivacy(ctx, _ context.Context) error {
	h.exports = account.NewExports(account.ExportsConfig{DB: h.db, Keyring: h.keyring, Files: h.files, Clock: h.clock})
	h.erasures = account.NewErasures(account.ErasuresConfig{
		DB: h.db, Keyring: h.keyring, Sessions: h.sessions, Devices: h.devices, Bus: &h.bus,
		Journal: h.settings.erasureJournal(), Processors: h.processors(), Clock: h.clock, Log: h.log,
	})
	_, err := h.erasures.Replay(ctx)
	return err
}

// processors are those who hold something of people on the hub's behalf.
func (h *hub) processors() []account.Processor {
	return []account.Processor{
		{Name: "mail", Forget: func(ctx context.Context, who account.Erased) (string, error) {
			return h.notify.ForgetMail(ctx, who.ID, who.Email)
		}},
		{Name: "sms", Forget: func(ctx context.Context, who account.Erased) (string, error) {
			return h.notify.ForgetSMS(ctx, who.Phone)
		}},
		{Name: "stripe", Forget: h.forgetCustomer},
		// What pushes knows apps by tokens, which are deleted here, and nobody by name.
		{Name: "push", Forget: func(context.Context, account.Erased) (string, error) {
			return "the tokens of their apps are deleted; the push service knows nothing else of them", nil
		}},
	}
}

// erasuresCommand is about erasures.
type erasuresCommand struct {
	List   erasuresListCommand   `cmd:"" help:"List who was erased, by id and time, and what is left to do."`
	Replay erasuresReplayCommand `cmd:"" help:"Erase again whoever the journal knows and the database, restored from before, does not. A hub does so when it starts."`
}

type erasuresListCommand struct {
	settings `embed:""`

	Proofs bool `help:"With what was done about each table."`
}

// Run implements the command.
func (c *erasuresListCommand) Run(ctx context.Context, cli *cli, to console) error {
	return c.withErasures(ctx, cli.logger(to.err), func(e *account.Erasures) error {
		known, err := e.List(ctx)
		if err != nil {
			return err
		}
		written, err := e.Journal()
		if err != nil {
			return err
		}
		in := make(map[fleet.ErasureID]bool)
		for _, erasure := range known {
			in[erasure.ID] = true
			state := "under way"
			switch {
			case erasure.Held:
				state = "done but for what a legal hold keeps"
			case !erasure.Done.IsZero():
				state = "done"
			}
			_, _ = fmt.Fprintf(to.out, "%s  %s  person %s  %s\n", erasure.ID, erasure.Asked.Format(time.RFC3339), erasure.User, state)
			if !c.Proofs {
				continue
			}
			proofs, err := e.Proofs(ctx, erasure.ID)
			if err != nil {
				return err
			}
			for _, p := range proofs {
				_, _ = fmt.Fprintf(to.out, "    %s  %-10s %6d  %s  %s\n", p.At.Format(time.RFC3339), p.Act, p.Count, p.Subject, p.Note)
			}
		}
		for _, erasure := range written {
			if !in[erasure.ID] {
				_, _ = fmt.Fprintf(to.out, "%s  %s  person %s  in the journal alone\n", erasure.ID, erasure.Asked.Format(time.RFC3339), erasure.User)
			}
		}
		return nil
	})
}

type erasuresReplayCommand struct {
	settings `embed:""`
}

// Run implements the command.
func (c *erasuresReplayCommand) Run(ctx context.Context, cli *cli, to console) error {
	return c.withErasures(ctx, cli.logger(to.err), func(e *account.Erasures) error {
		replayed, err := e.Replay(ctx)
		_, _ = fmt.Fprintf(to.out, "%d erasures were done again; a hub goes through the tables\n", replayed)
		return err
	})
}

// withErasures opens the erasures of a database that no hub of this process serves.
func (s *settings) withErasures(ctx context.Context, log *slog.Logger, do func(*account.Erasures) error) error {
	return s.withDatabase(ctx, log, func(db *schema.DB) error {
		if err := db.Migrate(ctx); err != nil {
			return err
		}
		keyring, err := account.OpenKeyring(s.dataDir(), s.SecretKey)
		if err != nil {
			return err
		}
		clock, news := fleet.SystemClock{}, new(bus.Bus)
		keys := account.NewKeys(account.KeysConfig{DB: db, Keyring: keyring, Clock: clock, Log: log, Issuer: s.issuer()})
		if err := keys.Open(ctx); err != nil { // above all, the secret key is the database's
			return err
		}
		sessions, err := account.NewSessions(account.SessionsConfig{DB: db, Keyring: keyring, Keys: keys, Bus: news, Clock: clock})
		if err != nil {
			return err
		}
		defer sessions.Close()
		devices, err := account.NewDevices(account.DevicesConfig{DB: db, Keyring: keyring, Keys: keys, Bus: news, Clock: clock})
		if err != nil {
			return err
		}
		defer devices.Close()
		h := hub{} // for the names of its processors alone: a hub calls them
		return do(account.NewErasures(account.ErasuresConfig{
			DB: db, Keyring: keyring, Sessions: sessions, Devices: devices, Bus: news,
			Journal: s.erasureJournal(), Processors: h.processors(), Clock: clock, Log: log,
		}))
	})
}
