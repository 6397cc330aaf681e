package main

import (
	"context"
	"strings"

	"armora/payment"
	"armora/payment/paper"
)

// sellerSettings are who sells, as invoices say it.
type sellerSettings struct {
	SellerName    string   `name:"seller-name" env:"ARMORA_SELLER_NAME" default:"ARMORA" group:"money" help:"Whose name invoices are in."`
	SellerAddress []string `name:"seller-address" env:"ARMORA_SELLER_ADDRESS" sep:";" group:"money" help:"Its address, lines separated by semicolons."`
	SellerVAT     string   `name:"seller-vat-number" env:"ARMORA_SELLER_VAT_NUMBER" group:"money" help:"Its VAT number, without which an invoice is no VAT invoice."`
	SellerCompany string   `name:"seller-company-number" env:"ARMORA_SELLER_COMPANY_NUMBER" group:"money" help:"Its number at Companies House."`
}

func (s *sellerSettings) seller() paper.Party {
	party := paper.Party{Name: s.SellerName, VATNumber: s.SellerVAT, CompanyNumber: s.SellerCompany}
	for _, line := range s.SellerAddress {
		if line = strings.TrimSpace(line); line != "" {
			party.Address = append(party.Address, line)
		}
	}
	return party
}

// openPapers makes what issues invoices, and writes down what officers are owed. Its jobs are run by openJobs.
func (h *hub) openPapers(context.Context, context.Context) error {
	if h.settings.SellerVAT == "" || len(h.settings.SellerAddress) == 0 {
		h.log.Warn("invoices are no VAT invoices until ARMORA_SELLER_ADDRESS and ARMORA_SELLER_VAT_NUMBER are set")
	}
	cfg := payment.InvoicesConfig{DB: h.db, Seller: h.settings.seller(), Seal: h.keyring.Seal, Clock: h.clock, Log: h.log}
	h.invoices, h.accounts = payment.NewInvoices(cfg), payment.NewTerms(cfg)
	h.earnings = payment.NewEarnings(h.db, h.settings.StripeConnect, h.clock, h.log)
	return nil
}
