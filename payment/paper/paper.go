// Package paper is what money leaves on paper: invoices, credit notes and
// statements, as data and as PDF. It is pure: the same document gives the same
// bytes for ever, so that the document alone has to be kept.
package paper

import (
	"fmt"
	"time"

	"armora/fleet"
	"armora/tariff"
)

// Zone is whose calendar counts: of dates, months, and years of numbers.
const Zone = "Europe/London"

// London is Zone, loaded.
var London = func() *time.Location {
	zone, err := time.LoadLocation(Zone)
	if err != nil {
		panic(err) // the binary embeds the zones
	}
	return zone
}()

// Party is who sells or buys.
type Party struct {
	Name          string   `json:"name"`
	Address       []string `json:"address,omitempty" doc:"Line by line"`
	VATNumber     string   `json:"vat_number,omitempty"`
	CompanyNumber string   `json:"company_number,omitempty"`
	Email         string   `json:"email,omitempty"`
}

// Item is one line of a document.
type Item struct {
	Text   string      `json:"text"`
	Detail string      `json:"detail,omitempty"`
	Amount fleet.Money `json:"amount" doc:"VAT included"`
}

// Paper is an invoice, a credit note or a statement.
type Paper struct {
	Kind     fleet.InvoiceKind `json:"kind" enum:"invoice,credit_note,debit_note,receipt,statement"`
	Number   string            `json:"number" doc:"Without a gap in its series"`
	Issued   string            `json:"issued" format:"date"`
	Supplied string            `json:"supplied,omitempty" format:"date" doc:"When the service ended: the tax point"`
	Due      string            `json:"due,omitempty" format:"date" doc:"Of an account on invoice terms"`
	Seller   Party             `json:"seller"`
	Buyer    Party             `json:"buyer"`

	Booking       fleet.BookingID `json:"booking_id,omitzero" format:"uuid"`
	PurchaseOrder string          `json:"purchase_order,omitempty"`
	CostCentre    string          `json:"cost_centre,omitempty"`
	Corrects      string          `json:"corrects,omitempty" doc:"Number of the invoice that a credit note or a debit note is about, or a receipt"`
	Reason        string          `json:"reason,omitempty" doc:"Of a credit note, or a debit note"`

	Lines      []Item      `json:"lines"`
	Net        fleet.Money `json:"net" doc:"Without VAT"`
	VATPercent int         `json:"vat_percent"`
	VAT        fleet.Money `json:"vat"`
	Total      fleet.Money `json:"total"`
	Paid       string      `json:"paid,omitempty" doc:"How it is paid"`
	PaidAmount fleet.Money `json:"paid_amount,omitzero" doc:"What of an invoice was paid by card when it was issued: receipts are of what was paid later"`
}

// Date is a day by the clocks of Zone, 2006-01-02.
func Date(at time.Time) string { return at.In(London).Format(time.DateOnly) }

// Year is the year of a number.
func Year(at time.Time) int { return at.In(London).Year() }

// PriceLines are the lines of a price.
func PriceLines(p tariff.Price, table *tariff.Table) []Item {
	each := ""
	if p.Officers > 1 {
		each = fmt.Sprintf(", %d officers", p.Officers)
	}
	lines := make([]Item, 0, len(p.Lines))
	for _, l := range p.Lines {
		line := Item{Amount: l.Amount}
		switch l.Kind {
		case tariff.Hours:
			line.Text, line.Detail = "Protection", hours(l.Minutes)+each
		case tariff.Mileage:
			line.Text, line.Detail = "Mileage", fmt.Sprintf("%.1f miles", float64(l.Metres)/1609.344)+each
		case tariff.Surcharge:
			line.Text, line.Detail = "Night and bank holiday hours", hours(l.Minutes)+fmt.Sprintf(" at +%d%%", table.Surcharge)+each
		case tariff.BookingFee:
			line.Text = "Booking fee"
		case tariff.MemberDiscount:
			line.Text, line.Detail = "Member's discount", fmt.Sprintf("%d%%", table.Discount)
		default:
			line.Text = string(l.Kind)
		}
		lines = append(lines, line)
	}
	return lines
}

// FeeLine is the line of a cancellation fee.
func FeeLine(fee tariff.Fee, quoted fleet.Money) Item {
	text := "Cancellation fee"
	if fee.Reason == tariff.FeeNoShow {
		text = "Fee: the principal did not come"
	}
	detail := fmt.Sprintf("%d%% of %s", fee.Percent, quoted)
	if fee.Reason == tariff.FeePutOff {
		detail = "as much as before the assignment was changed"
	}
	return Item{Text: text, Detail: detail, Amount: fee.Amount}
}

func hours(minutes int) string {
	if minutes%60 == 0 {
		return fmt.Sprintf("%d h", minutes/60)
	}
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}

// Sum sets what follows from the lines: the total, and the VAT in it by the
// tariff's rate.
func (d *Paper) Sum(table *tariff.Table) {
	d.Total = fleet.Money{Currency: table.Currency}
	for _, l := range d.Lines {
		d.Total = d.Total.Plus(l.Amount)
	}
	d.SetVAT(table.VATIn(d.Total), table.VAT)
}

// SetVAT says how much of the total is VAT.
func (d *Paper) SetVAT(vat fleet.Money, percent int) {
	d.VAT, d.VATPercent = vat, percent
	d.Net = fleet.Money{Amount: d.Total.Amount - vat.Amount, Currency: d.Total.Currency}
}
