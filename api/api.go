// Package api is the hub's HTTP edge: REST with its own OpenAPI document, on
// Fiber with huma. There is one file for each noun, and its handlers do no more
// than translate.
//
// Nothing is open by default. Every operation says who may call it when it is
// added (see access), and a request reaches no handler before that was checked.
package api

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"armora/account"
	"armora/bus"
	"armora/chat"
	"armora/dispatch"
	"armora/dispatch/place"
	"armora/files"
	"armora/fleet"
	"armora/notify"
	"armora/payment"
	"armora/safety"
	"armora/schema"
)

// Config is what a Server needs. DB, Keyring, Devices, Officers, Commands,
// Keys, Sessions, People, Federation, Partners, Directory, Approvals, Profiles,
// Questionnaires, Consents, Addresses, PushTokens, Contacts, Files, Notify, Exports, Erasures, Tickets, Shares, Bus, Trips, Tracks, Engine, Desk,
// Chat, Earnings, Terms, Safety, Map, Clock and Log are required.
type Config struct {
	Addr     string       // host:port to listen on; port 0 is chosen by the system
	Listener net.Listener // in place of it, of who had to know the port before; may be nil

	// AdminToken is the bearer token of the bootstrap admin, 16 characters at
	// least. Empty: there is none.
	AdminToken string
	// AllowBootstrap lets the bootstrap admin in even though a person is admin.
	AllowBootstrap bool

	// TrustedProxies are the reverse proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// What devices are told: where the hub is, by HTTP and by MQTT.
	PublicURL, PublicMQTTURL string

	DB       *schema.DB
	Keyring  *account.Keyring
	Devices  *account.Devices
	Officers *account.Officers
	Commands *account.Commands
	Keys     *account.Keys
	Sessions *account.Sessions
	People   *account.People
	Map      Map

	Federation     *account.Federation
	Partners       *account.Partners
	Directory      *account.Directory
	Approvals      *account.Approvals
	Profiles       *account.Profiles
	Questionnaires *account.Questionnaires
	Consents       *account.Consents
	Addresses      *account.Addresses
	PushTokens     *account.PushTokens
	Contacts       *account.EmergencyContacts
	Files          *files.Files
	Trips          *dispatch.Trips
	Tracks         *dispatch.Tracks
	Chat           *chat.Rooms
	Engine         *dispatch.Engine
	Desk           *dispatch.Desk
	Payments       *payment.Cashier // nil: every account is invoiced
	Feed           *payment.Feed    // nil: there is no webhook of Stripe's
	Books          *payment.Books   // nil: every account is invoiced
	Earnings       *payment.Earnings
	Terms          *payment.Terms
	Members        *payment.Members // nil: there is no membership
	Places         *place.Geocoder  // nil: places are not looked for
	Notify         *notify.Sender
	Safety         *safety.Watch
	Exports        *account.Exports
	Erasures       *account.Erasures
	Tickets        *account.Tickets
	Shares         *account.Shares
	Bus            *bus.Bus // tells whose WebSockets and event streams end

	Checks  []Check      // what must hold for the hub to be ready
	Ingest  http.Handler // serves /api/ingest/ and authenticates by itself; nil: nothing there
	Console fs.FS        // serves /console/; nil: nothing there
	Fences  Fences       // hears of fences that come and go; nil: they are watched from the next start on

	Limits      Limits        // on how often a caller may call; zero: DefaultLimits
	Lines       LineLimits    // on how much a caller may have open at once; zero: DefaultLineLimits
	ExportLimit time.Duration // how long an export of points may take; 0: DefaultExportLimit

	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Handled func(context.Context) // hears of each request that was let in, is valid, and is now handled; nil: nobody does
}

// DefaultExportLimit is how long an export of points may take.
const DefaultExportLimit = 15 * time.Minute

// minAdminToken is the shortest bootstrap token that is accepted, in characters.
const minAdminToken = 16

// maxBody is the largest request body in bytes.
const maxBody = 1 << 20

// Limits of time on a connection.
const (
	readTimeout = 10 * time.Second // for a whole request to arrive
	idleTimeout = time.Minute      // between two requests
	// stallTimeout is how long a client may leave an answer, or one piece of a
	// stream, unread before its connection is given up.
	stallTimeout = 30 * time.Second
)

// Server is the HTTP edge. Open starts it, Close stops it.
type Server struct {
	cfg     Config
	log     *slog.Logger
	clock   fleet.Clock
	tables  tables
	admin   *bearer
	metrics *metrics
	buckets *buckets
	app     *fiber.App
	huma    huma.API
	serving serving
	lines   lines
	uploads uploads
	stall   time.Duration // stallTimeout, for a piece of a stream
}

// tables are what the handlers read from the database.
type tables struct {
	devices     schema.Devices
	drivers     schema.Drivers
	vehicles    schema.Vehicles
	documents   schema.Documents
	points      *schema.Points
	outbox      schema.Outbox
	events      schema.Events
	deadLetters schema.DeadLetters
	notices     schema.Notices
	fences      schema.Fences
	requests    schema.IdempotentRequests
	audit       schema.Audit
	holds       schema.Holds
	trips       schema.Trips
	alerts      schema.Alerts
	invoices    schema.Invoices
	earnings    schema.Earnings

	organisations schema.Organisations
	statements    schema.Statements
}

// missing lists the required fields that are nil.
func (cfg *Config) missing() []string {
	var missing []string
	for name, absent := range map[string]bool{
		"DB": cfg.DB == nil, "Keyring": cfg.Keyring == nil, "Devices": cfg.Devices == nil, "Officers": cfg.Officers == nil,
		"Commands": cfg.Commands == nil, "Keys": cfg.Keys == nil, "Sessions": cfg.Sessions == nil, "People": cfg.People == nil,
		"Federation": cfg.Federation == nil, "Partners": cfg.Partners == nil, "Directory": cfg.Directory == nil, "Approvals": cfg.Approvals == nil,
		"Profiles": cfg.Profiles == nil, "Questionnaires": cfg.Questionnaires == nil, "Consents": cfg.Consents == nil,
		"Addresses": cfg.Addresses == nil, "PushTokens": cfg.PushTokens == nil, "Contacts": cfg.Contacts == nil,
		"Files": cfg.Files == nil, "Notify": cfg.Notify == nil, "Safety": cfg.Safety == nil, "Exports": cfg.Exports == nil, "Erasures": cfg.Erasures == nil,
		"Tickets": cfg.Tickets == nil, "Shares": cfg.Shares == nil, "Bus": cfg.Bus == nil,
		"Trips": cfg.Trips == nil, "Tracks": cfg.Tracks == nil, "Engine": cfg.Engine == nil, "Desk": cfg.Desk == nil,
		"Chat": cfg.Chat == nil, "Earnings": cfg.Earnings == nil, "Terms": cfg.Terms == nil,
		"Map": cfg.Map == nil, "Clock": cfg.Clock == nil, "Log": cfg.Log == nil,
	} {
		if absent {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// New returns a server with all its routes.
func New(cfg Config) (*Server, error) {
	if err := cfg.checkToken(); err != nil {
		return nil, err
	}
	if missing := cfg.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("api: %s: required, and not given", strings.Join(missing, ", "))
	}
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.addRoutes()
}

// NewStandby returns a server for emergencies alone, while the database is away: of
// Config it needs DB, Keyring, Keys, Sessions, Directory, Safety, Bus, Clock and Log.
func NewStandby(cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	s.addHealth()
	s.addKeySet()
	s.addSOSRota()
	s.addSOS()
	s.addSOSOps()
	s.app.Use(func(*fiber.Ctx) error {
		return refusal(http.StatusServiceUnavailable, fleet.CodeUnavailable, "the database is away: the hub sees to emergencies alone")
	})
	return s, nil
}

// checkToken refuses an admin token that could be guessed.
func (cfg *Config) checkToken() error {
	if cfg.AdminToken != "" && len(cfg.AdminToken) < minAdminToken {
		return fmt.Errorf("the admin token has %d characters: it takes at least %d", len(cfg.AdminToken), minAdminToken)
	}
	return nil
}

func newServer(cfg Config) (*Server, error) {
	if err := cfg.checkToken(); err != nil {
		return nil, err
	}
	if cfg.ExportLimit == 0 {
		cfg.ExportLimit = DefaultExportLimit
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Lines == (LineLimits{}) {
		cfg.Lines = DefaultLineLimits()
	}
	measured, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	buckets, err := newBuckets(cfg.Limits, cfg.Clock)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, clock: cfg.Clock, metrics: measured, buckets: buckets, admin: newBearer(cfg.AdminToken), stall: stallTimeout,
		tables: tables{
			devices: schema.Devices{DB: cfg.DB}, drivers: schema.Drivers{DB: cfg.DB}, vehicles: schema.Vehicles{DB: cfg.DB},
			documents: schema.Documents{DB: cfg.DB},
			points:    schema.NewPoints(cfg.DB), outbox: schema.Outbox{DB: cfg.DB, Clock: cfg.Clock},
			events: schema.Events{DB: cfg.DB}, deadLetters: schema.DeadLetters{DB: cfg.DB}, notices: schema.Notices{DB: cfg.DB},
			fences: schema.Fences{DB: cfg.DB}, requests: schema.IdempotentRequests{DB: cfg.DB},
			audit: schema.Audit{DB: cfg.DB}, holds: schema.Holds{DB: cfg.DB},
			trips: schema.Trips{DB: cfg.DB}, alerts: schema.Alerts{DB: cfg.DB},
			invoices: schema.Invoices{DB: cfg.DB}, earnings: schema.Earnings{DB: cfg.DB},
			organisations: schema.Organisations{DB: cfg.DB}, statements: schema.Statements{DB: cfg.DB},
		},
	}
	s.serving.init()
	s.lines.init(cfg.Lines)
	s.app = s.newFiber()
	s.huma = s.newHuma()
	return s, nil
}

func (s *Server) newFiber() *fiber.App {
	app := fiber.New(fiber.Config{
		AppName:                 "ARMORA hub",
		DisableStartupMessage:   true,
		BodyLimit:               maxBody,
		ReadTimeout:             readTimeout,
		IdleTimeout:             idleTimeout,
		WriteTimeout:            stallTimeout,
		Immutable:               true, // a string that outlives its request must not become another's
		UnescapePath:            true,
		CaseSensitive:           true,
		StrictRouting:           true,
		Network:                 fiber.NetworkTCP, // IPv4 and IPv6
		EnableTrustedProxyCheck: true,             // with none trusted: X-Forwarded-* are not believed; but see peer
		ErrorHandler:            s.writeError,
	})
	s.refuseUnknownMethods(app)
	app.Server().HeaderReceived = s.limitsOf
	app.Use(s.observe, refuseEncodings, refuseBadText)
	return app
}

// humaSetup sets huma's package-wide switches, once for all servers of the
// process.
var humaSetup sync.Once

func (s *Server) newHuma() huma.API {
	humaSetup.Do(func() {
		// encoding/json matches names in any case; without this {"TIP":-5}
		// would pass the limits set on "tip".
		huma.ValidateStrictCasing = true
		huma.NewError = newProblem
	})
	config := huma.DefaultConfig("ARMORA hub", "1.0.0")
	config.DocsPath, config.OpenAPIPath, config.SchemasPath = "", "", "" // served by docs.go, offline
	config.CreateHooks = nil                                             // no $schema links: they believe the Host header
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{s.stampProblem}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		partnerScheme: {
			Type: "oauth2", Description: "A partner's system.",
			Flows: &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: "/api/auth/token", Scopes: scopesInWords()}},
		},
		guestScheme:  {Type: "http", Scheme: "bearer", Description: "Who holds a link to a trip: a token from POST /api/shares/exchange."},
		bearerScheme: {Type: "http", Scheme: "bearer", Description: "A person's access token, or the bootstrap admin's token."},
	}
	api := humafiber.New(s.app, config)
	api.UseMiddleware(s.authorize)
	return api
}

func scopesInWords() map[string]string {
	return map[string]string{string(fleet.ScopeFleetRead): "Which protection officers are near a place"}
}
