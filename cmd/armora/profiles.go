package main

import (
	"context"

	"armora/account"
	"armora/files"
)

// openProfiles opens what people say of themselves, and their files.
func (h *hub) openProfiles(context.Context, context.Context) (err error) {
	if h.profiles, err = account.NewProfiles(h.db, h.clock); err != nil {
		return err
	}
	if h.consents, err = account.NewConsents(h.db, h.clock); err != nil {
		return err
	}
	if h.questionnaires, err = account.NewQuestionnaires(h.db, h.keyring, h.consents, h.clock); err != nil {
		return err
	}
	h.addresses = account.NewAddresses(h.db, h.keyring, h.clock)
	h.contacts = account.NewEmergencyContacts(h.db, h.keyring, h.clock, h.public)
	store, err := files.OpenStore(h.settings.filesURL())
	if err != nil {
		return err
	}
	h.files = files.New(files.Config{DB: h.db, Store: store, Sealer: h.keyring, Clock: h.clock, Log: h.log})
	return nil
}
