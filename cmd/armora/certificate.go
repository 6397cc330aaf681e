package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// renewedCertificate is a certificate whose files are replaced while the hub
// runs, as certbot and cert-manager do: a renewal must not cost a restart.
type renewedCertificate struct {
	certFile, keyFile string

	mu       sync.Mutex
	modified time.Time // of certFile, when current was read
	current  *tls.Certificate
}

func newRenewedCertificate(certFile, keyFile string) (*renewedCertificate, error) {
	c := &renewedCertificate{certFile: certFile, keyFile: keyFile}
	return c, c.load()
}

func (c *renewedCertificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	if c.current != nil && info.ModTime().Equal(c.modified) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	c.current, c.modified = &pair, info.ModTime()
	return nil
}

// get implements tls.Config.GetCertificate. While the files are being replaced
// they may not fit each other: then the certificate that was good stays.
func (c *renewedCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.load(); err != nil && c.current == nil {
		return nil, err
	}
	return c.current, nil
}
