package paper_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment/paper"
	"armora/tariff"
)

func sample(t *testing.T) *paper.Paper {
	t.Helper()
	table := tariff.Default()
	price, err := table.Quote(tariff.Trip{
		Tier: fleet.Executive, Start: time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC), Time: 3 * time.Hour, Metres: 35_406, Officers: 2, Member: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &paper.Paper{
		Kind: fleet.PlainInvoice, Number: "ARM-2026-000123", Issued: "2026-03-03", Supplied: "2026-03-03",
		Seller:  paper.Party{Name: "ARMORA Ltd", Address: []string{"1 The Street", "London", "SW1A 1AA"}, VATNumber: "GB123456789", CompanyNumber: "01234567"},
		Buyer:   paper.Party{Name: "Zoë Łukasiewicz-Ωμέγα 王 \U0001F600 عربي", Email: "zoe@example.com"},
		Booking: fleet.NewID[fleet.Booking](), PurchaseOrder: "PO-77", Lines: paper.PriceLines(price, &table), Paid: "Paid by card.",
	}
	d.Sum(&table)
	return d
}

func TestTheSumIsThatOfThePriceWithItsVAT(t *testing.T) {
	t.Parallel()
	d := sample(t)
	// 2 × (£225 + £55 + £75 of night: 23:00 to 01:00), less 20 %.
	if d.Total != fleet.Pence(568_00) || d.VAT != fleet.Pence(94_67) || d.Net != fleet.Pence(473_33) || len(d.Lines) != 4 {
		t.Errorf("%+v", d)
	}
}

// A fee says what it is of: one that was kept from before a change is no share of the price.
func TestAFeeSaysWhatItIsOf(t *testing.T) {
	t.Parallel()
	table := tariff.Default()
	start := time.Date(2026, 3, 9, 20, 0, 0, 0, time.UTC)
	for want, c := range map[string]tariff.Cancelled{
		"Cancellation fee, 5% of £120.00":                                {Start: start},
		"Cancellation fee, as much as before the assignment was changed": {Start: start, Before: fleet.Pence(120_00)},
		"Fee: the principal did not come, 100% of £120.00":               {Start: start, NoShow: true},
	} {
		c.By, c.At = fleet.ByPrincipal, start.Add(-48*time.Hour)
		if l := paper.FeeLine(table.CancellationFee(fleet.Pounds(120), c), fleet.Pounds(120)); l.Text+", "+l.Detail != want {
			t.Errorf("%s, %s; want %s", l.Text, l.Detail, want)
		}
	}
}

// Whatever a name is made of, it is printed, and the same document is the same
// file.
func TestADocumentIsTheSamePDFEachTime(t *testing.T) {
	t.Parallel()
	d := sample(t)
	first, err := d.PDF()
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.PDF()
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second differs, error %v", err)
	}
	if !bytes.HasPrefix(first, []byte("%PDF-")) {
		t.Errorf("it begins with %q", first[:8])
	}
	if path := os.Getenv("ARMORA_TEST_PDF"); path != "" { // to be looked at
		if err := os.WriteFile(path, first, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A statement of a busy month goes over pages.
func TestManyLinesTurnThePage(t *testing.T) {
	t.Parallel()
	d := sample(t)
	d.Kind, d.Lines = fleet.Statement, nil
	for range 120 {
		d.Lines = append(d.Lines, paper.Item{Text: "Invoice ARM-2026-000001, of 3 March 2026", Amount: fleet.Pounds(12)})
	}
	pdf, err := d.PDF()
	if err != nil || bytes.Count(pdf, []byte("/Type /Page\n")) < 3 {
		t.Errorf("%d pages, error %v", bytes.Count(pdf, []byte("/Type /Page\n")), err)
	}
	d.Issued = "yesterday"
	if _, err := d.PDF(); err == nil {
		t.Error("a day that is none was taken")
	}
}
