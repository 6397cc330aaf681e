package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"armora/schema"
)

// settings are those of a hub, whichever command runs it.
type settings struct {
	HTTPAddr    string `name:"http-addr" env:"ARMORA_HTTP_ADDR" default:"127.0.0.1:8080" group:"listen" help:"Where the API listens."`
	MQTTAddr    string `name:"mqtt-addr" env:"ARMORA_MQTT_ADDR" default:"127.0.0.1:1883" group:"listen" help:"Where MQTT listens on plain TCP; \"off\" for nowhere."`
	MQTTTLSAddr string `name:"mqtt-tls-addr" env:"ARMORA_MQTT_TLS_ADDR" default:"off" group:"listen" help:"Where MQTT listens on TLS, 8883 by convention."`
	MQTTWSAddr  string `name:"mqtt-ws-addr" env:"ARMORA_MQTT_WS_ADDR" default:"127.0.0.1:8083" group:"listen" help:"Where MQTT listens on WebSocket."`
	MetricsAddr string `name:"metrics-addr" env:"ARMORA_METRICS_ADDR" default:"127.0.0.1:9090" group:"listen" help:"Where Prometheus metrics and pprof are served, without a login; \"off\" for nowhere."`

	TLSCert        string `name:"tls-cert" env:"ARMORA_TLS_CERT" type:"path" group:"listen" help:"Certificate chain for TLS, PEM."`
	TLSKey         string `name:"tls-key" env:"ARMORA_TLS_KEY" type:"path" group:"listen" help:"Private key for TLS, PEM."`
	TLSClientCA    string `name:"tls-client-ca" env:"ARMORA_TLS_CLIENT_CA" type:"path" group:"listen" help:"Authorities whose client certificates devices may log in with, PEM."`
	AllowPlaintext bool   `name:"allow-plaintext" env:"ARMORA_ALLOW_PLAINTEXT" group:"listen" help:"Let plain TCP and WebSocket listen beyond loopback: logins cross the network in the clear."`

	DataDir     string        `name:"data-dir" env:"ARMORA_DATA_DIR" type:"path" group:"store" help:"Where the hub keeps its secret key and its private database (${data_dir_default})."`
	DatabaseURL string        `name:"database-url" env:"DATABASE_URL" group:"store" help:"PostgreSQL to use, postgres://user:password@host/name; without it the hub runs one of its own. Set it in the environment: flags can be seen by other users."`
	FilesURL    string        `name:"files-url" env:"ARMORA_FILES_URL" group:"store" help:"Where people's files are kept, encrypted: file:///path, or s3://key:secret@host/bucket of any S3-compatible storage; without it, the folder files in the data folder. Set it in the environment."`
	KeepPoints  time.Duration `name:"keep-points" env:"ARMORA_KEEP_POINTS" default:"720h" group:"store" help:"How long points are kept."`
	KeepPhone   time.Duration `name:"keep-phone" env:"ARMORA_KEEP_PHONE" default:"24h" group:"store" help:"How long the points of phones are kept, which are where a person was."`

	AdminToken     string   `name:"admin-token" env:"ARMORA_ADMIN_TOKEN" group:"access" help:"Bearer token of the bootstrap admin, 16 characters at least; good until a person is admin. Set it in the environment."`
	AllowBootstrap bool     `name:"allow-bootstrap" env:"ARMORA_ALLOW_BOOTSTRAP" group:"access" help:"Let the admin token in even though a person is admin by now."`
	TrustedProxies []string `name:"trusted-proxies" env:"ARMORA_TRUSTED_PROXIES" group:"access" help:"Addresses or networks (10.0.0.0/8) of the reverse proxies whose X-Forwarded-For is believed, separated by commas."`
	SecretKey      string   `name:"secret-key" env:"ARMORA_SECRET_KEY" group:"access" help:"Root of the hub's keys, 32 bytes in base64; without it, secret.key in the data folder. Set it in the environment."`
	PublicURL      string   `name:"public-url" env:"ARMORA_PUBLIC_URL" group:"access" help:"The hub's address as others know it, to which links lead, and issuer of its tokens; without it, where the API listens."`
	PublicMQTTURL  string   `name:"public-mqtt-url" env:"ARMORA_PUBLIC_MQTT_URL" default:"mqtt://127.0.0.1:1883" group:"access" help:"Where devices reach the hub by MQTT, as they are told: mqtt://host:port, or mqtts:// for TLS."`

	OIDCProviders string   `name:"oidc-providers" env:"ARMORA_OIDC_PROVIDERS" group:"access" help:"By whom people may sign in: a JSON file (docs/operations.md), or the JSON itself, in the environment."`
	OIDCRedirects []string `name:"oidc-redirects" env:"ARMORA_OIDC_REDIRECTS" group:"access" help:"Addresses at which apps wait for people who come back from a provider, exactly as they name them."`

	RateLimits float64 `name:"rate-limits" env:"ARMORA_RATE_LIMITS" default:"1" group:"access" help:"By how much to multiply the limits on how often a caller may call the API; the bootstrap admin has none."`

	notifySettings `embed:""`
	travelSettings `embed:""`
	tripSettings   `embed:""`
	sellerSettings `embed:""`

	paymentSettings `embed:""`

	ShutdownTimeout time.Duration `name:"shutdown-timeout" env:"ARMORA_SHUTDOWN_TIMEOUT" default:"15s" group:"store" help:"How long a stop waits for what was received to be committed."`
}

// off is the address of a listener that is not wanted.
const off = "off"

func listenOn(addr string) string {
	if addr == off {
		return ""
	}
	return addr
}

// dataDir is the data folder, or the default for who runs the hub.
func (s *settings) dataDir() string {
	if s.DataDir != "" {
		return s.DataDir
	}
	return defaultDataDir()
}

// filesURL is where files are kept, or the default for it.
func (s *settings) filesURL() string {
	if s.FilesURL != "" {
		return s.FilesURL
	}
	dir, err := filepath.Abs(filepath.Join(s.dataDir(), "files"))
	if err != nil {
		dir = "/nowhere" // the working folder is gone: opening says so
	}
	return (&url.URL{Scheme: "file", Path: dir}).String()
}

// defaultDataDir depends on who asks: PostgreSQL runs as another user when the
// hub is root, and that user has to reach the folder.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/armora"
	}
	return "./var"
}

func (s *settings) keep() schema.Keep {
	keep := schema.DefaultKeep()
	keep.Points, keep.Phone = s.KeepPoints, min(s.KeepPhone, s.KeepPoints)
	return keep
}

func (s *settings) check() error {
	if s.KeepPoints < time.Hour || s.KeepPhone < time.Hour {
		return errors.New("--keep-points and --keep-phone are an hour at least")
	}
	if s.RateLimits <= 0 {
		return errors.New("--rate-limits is greater than 0")
	}
	if u, err := url.Parse(s.PublicMQTTURL); err != nil || u.Hostname() == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" {
		return errors.New("--public-mqtt-url looks like mqtts://host:port")
	}
	if listenOn(s.MQTTTLSAddr) != "" && (s.TLSCert == "" || s.TLSKey == "") {
		return errors.New("--mqtt-tls-addr needs --tls-cert and --tls-key")
	}
	if err := s.checkNotify(); err != nil {
		return err
	}
	if err := s.checkTravel(); err != nil {
		return err
	}
	if err := s.checkTrips(); err != nil {
		return err
	}
	if err := s.checkPayment(); err != nil {
		return err
	}
	_, err := s.proxies()
	return err
}

// proxies are the networks of the trusted proxies.
func (s *settings) proxies() ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range s.TrustedProxies {
		proxy, err := netip.ParsePrefix(text)
		if addr, notOne := netip.ParseAddr(text); notOne == nil {
			proxy, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is neither an address nor a network like 10.0.0.0/8", text)
		}
		proxies = append(proxies, proxy.Masked())
	}
	return proxies, nil
}

// tls returns the configuration of the TLS listener, nil if there is none. The
// certificate is read again for each handshake that finds it renewed.
func (s *settings) tls() (*tls.Config, error) {
	if listenOn(s.MQTTTLSAddr) == "" {
		return nil, nil
	}
	certificate, err := newRenewedCertificate(s.TLSCert, s.TLSKey)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}
	if s.TLSClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(s.TLSClientCA)
	if err != nil {
		return nil, fmt.Errorf("read --tls-client-ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-client-ca %s holds no certificate in PEM", s.TLSClientCA)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}
