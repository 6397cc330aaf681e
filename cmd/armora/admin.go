package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"armora/account"
	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// adminCommand is what is done at the hub's machine.
type adminCommand struct {
	Audit    auditCommand         `cmd:"" help:"Check the audit log."`
	Erasures erasuresCommand      `cmd:"" help:"Look at who was erased, or do it again after a restore."`
	Webhook  stripeWebhookCommand `cmd:"" name:"stripe-webhook" help:"Have Stripe tell the hub of payments, and print the secret that signs it."`
	Create   adminCreateCommand   `cmd:"" help:"Make an admin, the first one for instance, and print the login."`
}

// adminCreateCommand makes an account an admin's. Whoever may run it holds the
// database and the secret key, so nobody else is asked.
type adminCreateCommand struct {
	settings `embed:""`

	Email         string `arg:"" help:"Address of the account, which is made if need be."`
	Name          string `help:"Name of a new account."`
	PasswordStdin bool   `name:"password-stdin" help:"Read the password from the first line of the standard input; else one is made and printed."`
	Reset         bool   `help:"Replace the password and the second factor that the account has: for who has lost them."`
}

// Run implements the command.
func (c *adminCreateCommand) Run(ctx context.Context, cli *cli, to console) error {
	password := ""
	if c.PasswordStdin {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the password: %w", err)
		}
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return errors.New("--password-stdin: there is no password on the standard input")
		}
	}
	log := cli.logger(to.err)
	return c.withDatabase(ctx, log, func(db *schema.DB) error {
		people, err := c.people(ctx, db, log)
		if err != nil {
			return err
		}
		made, err := people.Enlist(ctx, account.Enlisting{
			Email: c.Email, Name: c.Name, Password: password, Roles: []fleet.Role{fleet.RoleAdmin}, Anew: c.Reset,
		})
		if err != nil {
			return err
		}
		printLogin(to.out, password, made)
		return nil
	})
}

// people are those of a database that no hub of this process serves.
func (s *settings) people(ctx context.Context, db *schema.DB, log *slog.Logger) (*account.People, error) {
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	keyring, err := account.OpenKeyring(s.dataDir(), s.SecretKey)
	if err != nil {
		return nil, err
	}
	clock := fleet.SystemClock{}
	keys := account.NewKeys(account.KeysConfig{DB: db, Keyring: keyring, Clock: clock, Log: log, Issuer: s.issuer()})
	if err := keys.Open(ctx); err != nil { // above all, the secret key is the database's
		return nil, err
	}
	sessions, err := account.NewSessions(account.SessionsConfig{DB: db, Keyring: keyring, Keys: keys, Bus: new(bus.Bus), Clock: clock})
	if err != nil {
		return nil, err
	}
	return account.NewPeople(account.PeopleConfig{DB: db, Keyring: keyring, Sessions: sessions, Clock: clock}), nil
}

// printLogin prints what cannot be printed again.
func printLogin(out io.Writer, password string, made account.Enlisted) {
	line := func(what, text string) { _, _ = fmt.Fprintf(out, "  %-15s %s\n", what, text) }
	line("e-mail", made.Email)
	switch {
	case made.Password != "":
		line("password", made.Password)
	case password != "":
		line("password", "as given")
	default:
		line("password", "as before")
	}
	if made.Secret == "" {
		line("second factor", "as before")
		return
	}
	line("second factor", made.Secret)
	line("for QR codes", made.URL)
	line("recovery codes", strings.Join(made.Recovery, " "))
}
