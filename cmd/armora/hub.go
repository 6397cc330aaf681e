package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"armora/account"
	"armora/api"
	"armora/broker"
	"armora/bus"
	"armora/chat"
	"armora/dispatch"
	"armora/dispatch/eta"
	"armora/dispatch/place"
	"armora/files"
	"armora/fleet"
	"armora/ingest"
	"armora/ingest/fences"
	"armora/live"
	"armora/notify"
	"armora/payment"
	"armora/safety"
	"armora/schema"
)

// hub is a running hub: every part with what connects it to the others. Parts
// are opened from the ground up, and closed the other way round.
type hub struct {
	settings settings
	clock    *fleet.CorrectedClock
	log      *slog.Logger
	registry *prometheus.Registry

	private   *schema.Private // nil: the database is somebody else's
	db        *schema.DB
	bus       bus.Bus
	keyring   *account.Keyring
	keys      *account.Keys
	sessions  *account.Sessions
	people    *account.People
	directory *account.Directory
	others    *account.Federation
	partners  *account.Partners
	notify    *notify.Sender
	cashier   *payment.Cashier // nil: every account is invoiced
	feed      *payment.Feed    // nil: there is no webhook of Stripe's
	books     *payment.Books   // nil: every account is invoiced
	devices   *account.Devices
	commands  *account.Commands
	officers  *account.Officers
	spells    ingest.Spells

	profiles       *account.Profiles
	questionnaires *account.Questionnaires
	consents       *account.Consents
	addresses      *account.Addresses
	contacts       *account.EmergencyContacts
	files          *files.Files
	exports        *account.Exports
	erasures       *account.Erasures

	eta    *eta.Estimator
	places *place.Geocoder // nil: there is none
	engine *dispatch.Engine
	trips  *dispatch.Trips
	desk   *dispatch.Desk
	tracks *dispatch.Tracks
	chat   *chat.Rooms

	followers *followers // of trips, over MQTT

	invoices *payment.Invoices
	watch    *safety.Watch
	earnings *payment.Earnings
	book     *schema.SOSBook // what is known of a database that is away; nil: it is there
	accounts *payment.Terms
	members  *payment.Members // nil: there is no membership

	index    *live.Index
	fixes    []live.Fix // scratch of move
	shown    []bool     // the same
	fences   *fences.Fences
	alarms   *safety.Alarms
	pipeline *ingest.Pipeline
	notices  *ingest.Notices
	broker   *broker.Broker
	api      *api.Server
	metrics  *metricsServer

	door   net.Listener // of the API, where the system has chosen its port; nil: the API listens
	public string       // the hub's address as others know it

	show func(fleet.Notice, notify.Message) // what people would be told, had the hub a way to; nil: to nobody

	stopping atomic.Bool
	stop     context.CancelFunc // ends what runs in the background
	running  sync.WaitGroup
	closers  []closer
}

// closer stops one part of the hub.
type closer struct {
	part  string
	close func(context.Context) error
}

// openHub starts a hub, once change has been made to it; ctx bounds the start
// only. What was started is stopped again when a later part fails.
func openHub(ctx context.Context, s settings, log *slog.Logger, change ...func(*hub)) (*hub, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	h := newHub(s, log)
	for _, c := range change {
		c(h)
	}
	return h.open(ctx,
		h.openDoor,
		h.openMetrics,
		h.openDatabase,
		h.openNodes,
		h.openAccounts,
		h.openProfiles,
		h.openPapers,
		h.openNotify,
		h.openPayment,
		h.openBooks,
		h.openPrivacy,
		h.openMap,
		h.openAlarms,
		h.openOfficers,
		h.openTravel,
		h.openDesk,
		h.openSafety,
		h.openChat,
		h.openJobs,
		h.openIngest,
		h.openTrips,
		h.openTracks,
		h.openDispatch,
		h.openBroker,
		h.openAPI,
	)
}

func newHub(s settings, log *slog.Logger) *hub {
	h := &hub{settings: s, clock: new(fleet.CorrectedClock), log: log, registry: prometheus.NewRegistry()}
	h.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return h
}

// open opens the parts of a hub, in order.
func (h *hub) open(ctx context.Context, parts ...func(ctx, background context.Context) error) (*hub, error) {
	background, stop := context.WithCancel(context.Background())
	h.stop = stop
	for _, open := range parts {
		if err := open(ctx, background); err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.settings.ShutdownTimeout)
			defer cancel()
			return nil, errors.Join(err, h.Close(closing))
		}
	}
	return h, nil
}

func (h *hub) onClose(part string, fn func(context.Context) error) {
	h.closers = append(h.closers, closer{part, fn})
}

// Close stops the hub, the front doors first: what was read from them is
// committed and acknowledged before the connections end, and the database goes
// last. When ctx ends, what is left is cut off: it was not acknowledged, and
// its senders have it still. It may be called more than once.
func (h *hub) Close(ctx context.Context) error {
	h.stopping.Store(true)
	var failed []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		c := h.closers[i]
		if err := c.close(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.part, err))
		}
	}
	h.closers = nil
	h.stop()
	return errors.Join(failed...)
}

func (h *hub) openMetrics(ctx, _ context.Context) error {
	addr := listenOn(h.settings.MetricsAddr)
	if addr == "" {
		return nil
	}
	var err error
	if h.metrics, err = openMetricsServer(ctx, addr, h.registry); err != nil {
		return err
	}
	h.onClose("metrics", h.metrics.Close)
	return nil
}

func (h *hub) openDatabase(ctx, background context.Context) error {
	dsn := h.settings.DatabaseURL
	if dsn == "" {
		private, err := schema.StartPrivate(ctx, h.settings.dataDir(), h.log)
		if err != nil {
			return noDatabase{err}
		}
		h.private, dsn = private, private.DSN()
		h.onClose("private PostgreSQL", private.Close)
	}
	db, err := schema.Open(ctx, dsn, schema.Options{Keep: h.settings.keep(), Log: h.log, Metrics: h.registry})
	if err != nil {
		return err
	}
	h.db = db
	h.onClose("database", func(context.Context) error {
		db.Close()
		return nil
	})
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	h.warnOfLoss(ctx)
	m := maintenance{db: db, tables: schema.Maintenance{DB: db}, clock: h.clock, log: h.log}
	m.correctClock(ctx)
	// Points find the partition of their day; nothing else has to be done before. Somebody who
	// reads the tables for long, a backup, may keep one from being made: then the points of that
	// day go to the default partition until it is.
	if err := m.tables.EnsurePartitions(ctx, h.clock.Now()); fleet.CodeOf(err) == fleet.CodeUnavailable {
		h.log.Warn("not all partitions could be made, it is tried again in a few minutes", "error", err)
	} else if err != nil {
		return err
	}
	background, stop := context.WithCancel(background)
	h.running.Go(func() { m.run(background) })
	if h.private != nil {
		h.running.Go(func() { h.private.Supervise(background) })
	}
	// The private server is closed only when nobody would start it again.
	h.onClose("maintenance", func(context.Context) error {
		stop()
		h.running.Wait()
		return nil
	})
	return nil
}

// warnOfLoss says which of the database's settings would let it forget what it
// has confirmed.
func (h *hub) warnOfLoss(ctx context.Context) {
	off, err := h.db.Durability(ctx)
	if err != nil {
		h.log.Warn("the database's durability settings cannot be read", "error", err)
	}
	for _, setting := range off {
		h.log.Warn("the database may lose acknowledged points when its machine fails", "setting", setting)
	}
}

func (h *hub) openAccounts(ctx, background context.Context) error {
	var err error
	if h.keyring, err = account.OpenKeyring(h.settings.dataDir(), h.settings.SecretKey); err != nil {
		return err
	}
	h.keys = account.NewKeys(account.KeysConfig{
		DB: h.db, Keyring: h.keyring, Clock: h.clock, Log: h.log, Issuer: h.settings.issuer(),
	})
	if err := h.openKeys(ctx); err != nil {
		return err
	}
	h.sessions, err = account.NewSessions(account.SessionsConfig{
		DB: h.db, Keyring: h.keyring, Keys: h.keys, Bus: &h.bus, Clock: h.clock, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.devices, err = account.NewDevices(account.DevicesConfig{
		DB: h.db, Keyring: h.keyring, Keys: h.keys, Sessions: h.sessions, Bus: &h.bus, Clock: h.clock, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.people = account.NewPeople(account.PeopleConfig{DB: h.db, Keyring: h.keyring, Sessions: h.sessions, Clock: h.clock})
	h.directory = account.NewDirectory(h.db, h.sessions, h.clock)
	h.officers = account.NewOfficers(account.OfficersConfig{
		DB: h.db, Keyring: h.keyring, Devices: h.devices, Bus: &h.bus, Clock: h.clock, Log: h.log,
	})
	if err := h.openFederation(); err != nil {
		return err
	}
	h.commands = account.NewCommands(h.db, &h.bus, h.clock)
	background, stop := context.WithCancel(background)
	var refreshing sync.WaitGroup
	refreshing.Go(func() { h.keys.Run(background) })
	h.onClose("accounts", func(context.Context) error {
		stop()
		refreshing.Wait()
		h.sessions.Close()
		h.devices.Close()
		return nil
	})
	return nil
}

// checks are what must hold for the hub to be ready.
func (h *hub) checks() []api.Check {
	return []api.Check{
		{Name: "hub", Ready: func(context.Context) error {
			if h.stopping.Load() {
				return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the hub is stopping"}
			}
			return nil
		}},
		{Name: "database", Ready: h.db.Ready},
		{Name: "on_call", Ready: h.watch.Ready, Warning: true},
		{Name: "mqtt", Ready: func(context.Context) error {
			if h.broker.TCPAddr() == nil && h.broker.TLSAddr() == nil && h.broker.WSAddr() == nil {
				return &fleet.Error{Code: fleet.CodeUnavailable, Message: "no MQTT listener is configured"}
			}
			return nil
		}},
	}
}

func (h *hub) openAPI(ctx, _ context.Context) error {
	proxies, err := h.settings.proxies()
	if err != nil {
		return err
	}
	if has, err := h.directory.HasAdmin(ctx); err == nil && !has && h.settings.AdminToken == "" {
		h.log.Warn("this hub has no admin: make one with armora admin create, or set ARMORA_ADMIN_TOKEN")
	}
	shares := account.NewShares(account.SharesConfig{
		DB: h.db, Keyring: h.keyring, Keys: h.keys, Bus: &h.bus, Clock: h.clock, URL: h.public + "/watch",
	})
	server, err := api.New(api.Config{
		Addr: h.settings.HTTPAddr, Listener: h.door, TrustedProxies: proxies,
		AdminToken: h.settings.AdminToken, AllowBootstrap: h.settings.AllowBootstrap,
		PublicURL: h.public, PublicMQTTURL: h.settings.PublicMQTTURL,
		DB: h.db, Keyring: h.keyring, Devices: h.devices, Officers: h.officers, Commands: h.commands, Keys: h.keys, Sessions: h.sessions, People: h.people,
		Profiles: h.profiles, Questionnaires: h.questionnaires, Addresses: h.addresses, Contacts: h.contacts, Files: h.files,
		Consents:   h.consents,
		PushTokens: account.NewPushTokens(h.db, h.keyring, h.clock),
		Payments:   h.cashier,
		Feed:       h.feed,
		Books:      h.books,
		Places:     h.places,
		Notify:     h.notify,
		Safety:     h.watch,
		Directory:  h.directory, Approvals: account.NewApprovals(h.db, h.sessions, h.clock),
		Federation: h.others, Partners: h.partners,
		Engine: h.engine,
		Chat:   h.chat,
		Trips:  h.trips, Desk: h.desk,
		Tracks:   h.tracks,
		Earnings: h.earnings, Terms: h.accounts, Members: h.members,
		Exports: h.exports, Erasures: h.erasures,
		Tickets: account.NewTickets(h.db, h.keyring, h.sessions, shares, h.clock), Bus: &h.bus,
		Shares: shares,
		Map:    h.index, Fences: h.fences, Limits: api.DefaultLimits().Times(h.settings.RateLimits),
		Checks: h.checks(), Ingest: h.pipeline.HTTP(),
		Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.api = server
	h.onClose("API", server.Close)
	return server.Open(ctx)
}
