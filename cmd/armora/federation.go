package main

import "armora/account"

// openFederation lets in those for whom others vouch: people who sign in by a
// provider, and partners' systems.
func (h *hub) openFederation() error {
	providers, err := account.ReadOIDCProviders(h.settings.OIDCProviders)
	if err != nil {
		return err
	}
	h.others = account.NewFederation(account.FederationConfig{
		DB: h.db, Keyring: h.keyring, People: h.people, Clock: h.clock,
		Providers: providers, Redirects: h.settings.OIDCRedirects, PublicURL: h.public,
	})
	h.partners = account.NewPartners(h.db, h.keyring, h.keys, &h.bus, h.clock)
	return nil
}
