package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"armora/account"
	"armora/api"
	"armora/broker"
	"armora/fleet"
	"armora/safety"
	"armora/schema"
)

// A hub whose database is away when it starts stands by: by the snapshot in its data
// folder it sees to emergencies, and to nothing else. When the database answers, it
// closes and starts anew, as a whole hub, which finds the journal.

// noDatabase is why the private database does not start.
type noDatabase struct{ error }

func (e noDatabase) Unwrap() error { return e.error }

// standsBy reports whether a hub that does not start for an error can stand by: the
// database is away, and not one that this hub should not use, or by a wrong setting.
func (s *settings) standsBy(err error) bool {
	if !safety.HasBook(s.dataDir()) {
		return false
	}
	code := fleet.CodeOf(err)
	if _, private := errors.AsType[noDatabase](err); private {
		return code != fleet.CodeConflict && code != fleet.CodeInvalid
	}
	return code == fleet.CodeUnavailable
}

// openStandby starts a hub that sees to emergencies alone.
func openStandby(ctx context.Context, s settings, log *slog.Logger) (*hub, error) {
	h := newHub(s, log)
	return h.open(ctx, h.openDoor, h.openMetrics, h.openNowhere, h.openAccounts, h.openProfiles, h.openPapers, h.openNotify,
		h.openSafety, h.openEvents, h.openEmergencies)
}

// openNowhere reads the snapshot in place of the database.
func (h *hub) openNowhere(context.Context, context.Context) (err error) {
	if h.keyring, err = account.OpenKeyring(h.settings.dataDir(), h.settings.SecretKey); err != nil {
		return err
	}
	if h.book, err = safety.ReadBook(h.settings.dataDir(), h.keyring); err != nil {
		return fmt.Errorf("the snapshot for emergencies: %w", err)
	}
	if h.db, err = schema.Nowhere(); err != nil {
		return err
	}
	h.onClose("no database", func(context.Context) error {
		h.db.Close()
		return nil
	})
	return nil
}

func (h *hub) openKeys(ctx context.Context) error {
	if h.book != nil {
		return h.keys.Restore(h.book.Keys)
	}
	return h.keys.Open(ctx)
}

// openEvents opens MQTT for the sessions that carry events alone: those of points keep
// what they have for when the hub is whole again.
func (h *hub) openEvents(ctx, _ context.Context) error {
	tlsConfig, err := h.settings.tls()
	if err != nil {
		return err
	}
	h.broker, err = broker.New(broker.Config{
		TCPAddr: listenOn(h.settings.MQTTAddr), TLSAddr: listenOn(h.settings.MQTTTLSAddr), WSAddr: listenOn(h.settings.MQTTWSAddr),
		AllowPlaintext: h.settings.AllowPlaintext, TLS: tlsConfig,
		Auth: eventsAlone{h.devices}, Sessions: nothingKept{}, Outbox: nothingKept{},
		Routes: []broker.Route{{Template: "v1/devices/{device}/events", Receiver: receiver(h.emergency), Urgent: true}},
		Clock:  h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.onClose("MQTT", h.broker.Close)
	return h.broker.Open(ctx)
}

// eventsAlone lets the sessions in that carry events alone.
type eventsAlone struct{ devices *account.Devices }

// Authenticate implements broker.Authenticator.
func (a eventsAlone) Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error) {
	identity, err := a.devices.Authenticate(ctx, login)
	if err == nil && login.ClientID != identity.Device.String()+"/events" {
		err = away()
	}
	return identity, err
}

func away() error {
	return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away: the hub sees to emergencies alone"}
}

// nothingKept is what is kept of sessions, and waits for devices, without a database.
type nothingKept struct{}

// Load implements broker.Sessions.
func (nothingKept) Load(context.Context) ([]fleet.Session, error) { return nil, nil }

// Save implements broker.Sessions.
func (nothingKept) Save(context.Context, fleet.Session) error { return nil }

// Delete implements broker.Sessions.
func (nothingKept) Delete(context.Context, string) error { return nil }

// Pending implements broker.Outbox.
func (nothingKept) Pending(context.Context, fleet.DeviceID, int64, int) ([]fleet.Command, error) {
	return nil, nil
}

// Acknowledge implements broker.Outbox.
func (nothingKept) Acknowledge(context.Context, fleet.DeviceID, int64) error { return away() }

// openEmergencies opens the API for emergencies alone.
func (h *hub) openEmergencies(ctx, _ context.Context) error {
	proxies, err := h.settings.proxies()
	if err != nil {
		return err
	}
	h.api, err = api.NewStandby(api.Config{
		Addr: h.settings.HTTPAddr, Listener: h.door, TrustedProxies: proxies, AdminToken: h.settings.AdminToken, PublicURL: h.public,
		DB: h.db, Keyring: h.keyring, Keys: h.keys, Sessions: h.sessions, Directory: h.directory, Safety: h.watch, Bus: &h.bus,
		Limits: api.DefaultLimits().Times(h.settings.RateLimits),
		Checks: []api.Check{{Name: "database", Ready: func(context.Context) error { return away() }}},
		Clock:  h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.onClose("API", h.api.Close)
	return h.api.Open(ctx)
}

const (
	findEvery   = 2 * time.Second // how often a database that is away is looked for
	findTimeout = 5 * time.Second
)

// standBy sees to emergencies until the database is back, or ctx ends.
func (s *settings) standBy(ctx context.Context, log *slog.Logger, out io.Writer) error {
	h, err := openStandby(ctx, *s, log)
	if err != nil {
		return err
	}
	h.announceStandby(out)
	for found := false; !found && ctx.Err() == nil; found = s.find(ctx, log) {
		fired, stop := h.clock.NewTimer(findEvery)
		select {
		case <-ctx.Done():
			stop()
		case <-fired:
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.ShutdownTimeout)
	defer cancel()
	return h.Close(closing)
}

// find reports whether the database answers.
func (s *settings) find(ctx context.Context, log *slog.Logger) bool {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if s.DatabaseURL == "" { // of our own: the next start tries to start it
		private, err := schema.StartPrivate(ctx, s.dataDir(), log)
		if err != nil {
			return false
		}
		return private.Close(context.WithoutCancel(ctx)) == nil
	}
	db, err := schema.Open(ctx, s.DatabaseURL, schema.Options{})
	if err != nil {
		return false
	}
	db.Close()
	return true
}

// announceStandby prints where everything is.
func (h *hub) announceStandby(out io.Writer) {
	_, _ = fmt.Fprintln(out, "ARMORA hub stands by for emergencies alone: the database is away")
	if addr := h.broker.TCPAddr(); addr != nil {
		_, _ = fmt.Fprintf(out, "  %-16s mqtt://%v\n", "MQTT", addr)
	}
	_, _ = fmt.Fprintf(out, "  %-16s http://%v\n", "API", h.api.Addr())
}
