package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// .env.example is where people look for a setting's name: it lists each, with
// its default, and nothing that is not one.
func TestEnvExampleListsEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = m[2]
	}
	parser, err := kong.New(new(cli), kong.Vars{"data_dir_default": "", "webhook_path": webhookPath})
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]string)
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			for _, name := range flag.Envs {
				known[name] = flag.Default
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, standard := range known {
		value, ok := listed[name]
		if !ok {
			t.Errorf("%s is not in .env.example", name)
		} else if value != standard && (standard != "" || value != "false") {
			t.Errorf("the default of %s is %q, and .env.example says %q", name, standard, value)
		}
	}
	for name := range listed {
		if _, ok := known[name]; !ok && !strings.HasPrefix(name, "POSTGRES_") {
			t.Errorf(".env.example has %s, which is no setting", name)
		}
	}
}

func TestRenewedCertificateIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := settings{
		MQTTTLSAddr: "127.0.0.1:0",
		TLSCert:     filepath.Join(dir, "hub.crt"), TLSKey: filepath.Join(dir, "hub.key"), TLSClientCA: filepath.Join(dir, "hub.crt"),
	}
	old := time.Now().Add(-time.Hour)
	writeCertificate(t, s, 1, old)
	config, err := s.tls()
	if err != nil {
		t.Fatal(err)
	}
	if config.ClientAuth != tls.VerifyClientCertIfGiven || config.ClientCAs == nil {
		t.Error("client certificates are not asked for")
	}
	serial := func() int64 {
		certificate, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d is served", n)
	}
	writeCertificate(t, s, 2, old.Add(time.Minute))
	if n := serial(); n != 2 {
		t.Errorf("certificate %d is served after the renewal", n)
	}
	// Half of a renewal: the key is not there yet.
	if err := os.WriteFile(s.TLSKey, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.TLSCert, old.Add(2*time.Minute), old.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("certificate %d is served amid the renewal", n)
	}
}

func writeCertificate(t *testing.T, s settings, serial int64, modified time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "hub"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		s.TLSCert: {Type: "CERTIFICATE", Bytes: der}, s.TLSKey: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatusLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newStatusLine(console{out: &out})
	s.show("one")
	s.show("two")
	if got := out.String(); got != "one\ntwo\n" {
		t.Errorf("on a pipe: %q", got)
	}

	out.Reset()
	s = &statusLine{out: &out, width: func() int { return 8 }}
	log := s.above(&out)
	writes := []func(){
		func() { _, _ = log.Write([]byte("early\n")) },
		func() { s.show("a long · line") },
		func() { _, _ = log.Write([]byte("warning\n")) },
		s.end,
		s.end, // there is nothing left to end
	}
	for _, write := range writes {
		write()
	}
	want := []string{"early\n", "\ra long \x1b[K", "\r\x1b[K", "warning\n", "\ra long \x1b[K", "\n"}
	if got := out.String(); got != strings.Join(want, "") {
		t.Errorf("on a terminal: %q, want %q", got, strings.Join(want, ""))
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"demo", "--help"}, {"migrate", "--help"}, {"replay", "--help"}, {"bench", "--help"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, console{out: &out, err: &out}); code != 0 {
			t.Errorf("armora %v ends with %d", args, code)
		}
		if len(args) > 1 {
			continue
		}
		for _, command := range []string{"serve", "demo", "migrate", "replay", "bench"} {
			if !slices.Contains(strings.Fields(out.String()), command) {
				t.Errorf("the help does not name %s:\n%s", command, &out)
			}
		}
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--mqtt-tls-addr", "127.0.0.1:0"}, "--tls-cert"},
		{[]string{"serve", "--keep-phone", "1s"}, "an hour at least"},
		{[]string{"serve", "--keep-points", "soon"}, "keep-points"},
		{[]string{"serve", "--trusted-proxies", "10.0.0.1,proxy.example"}, `"proxy.example"`},
		{[]string{"serve", "--zone", "Europe/Atlantis"}, "--zone"},
		{[]string{"serve", "--osrm-url", "osrm:5000"}, "http://host:5000"},
		{[]string{"serve", "--geocoder-url", "https://maps.example/geocode"}, "/api"},
		{[]string{"serve", "--geocoder-url", "https://photon.example/api", "--geocoder-rate", "0"}, "--geocoder-rate"},
		{[]string{"demo", "--officers", "0"}, "--officers"},
		{[]string{"demo", "--mqtt-addr", "off"}, "--mqtt-addr"},
		{[]string{"replay", "settings_test.go"}, "track"},
		{[]string{"replay", "nowhere.csv"}, "nowhere.csv"},
		{[]string{"fly"}, "fly"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), c.args, console{out: &out, err: &errs}); code == 0 {
			t.Errorf("armora %v succeeds", c.args)
		}
		if text := strings.TrimSpace(errs.String()); !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
			t.Errorf("armora %v says %q, want one line with %q", c.args, text, c.want)
		}
	}
}
