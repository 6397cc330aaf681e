package paper

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"armora/fleet"
)

// Measures of a page, in millimetres; A4 is 210 wide.
const (
	margin = 20.0
	width  = 210 - 2*margin
	money  = 35.0 // the column of amounts
	row    = 6.0
)

var titles = map[fleet.InvoiceKind]string{
	fleet.PlainInvoice: "Invoice", fleet.CreditNote: "Credit note", fleet.DebitNote: "Debit note", fleet.Receipt: "Receipt", fleet.Statement: "Statement",
}

// page is a PDF under way.
type page struct {
	*fpdf.Fpdf
	glyphs *sfnt.Font
}

// PDF writes the document.
func (d *Paper) PDF() ([]byte, error) {
	glyphs, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("the font of papers: %w", err)
	}
	issued, err := time.Parse(time.DateOnly, d.Issued)
	if err != nil {
		return nil, fmt.Errorf("paper %s: the day of issue: %w", d.Number, err)
	}
	p := page{fpdf.New("P", "mm", "A4", ""), glyphs}
	// The same document is the same file: nothing of it is by chance or by the clock.
	p.SetCatalogSort(true)
	p.SetCreationDate(issued)
	p.SetModificationDate(issued)
	p.SetProducer("ARMORA", true)
	p.SetTitle(titles[d.Kind]+" "+d.Number, true)
	p.AddUTF8FontFromBytes("go", "", goregular.TTF)
	p.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.SetFooterFunc(func() { p.footer(d) })
	p.AddPage()
	p.head(d)
	p.lines(d)
	p.sums(d)
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("paper %s: %w", d.Number, err)
	}
	return out.Bytes(), nil
}

// text is what the font can show of s: what has no glyph is a question mark.
func (p *page) text(s string) string {
	var buf sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if glyph, err := p.glyphs.GlyphIndex(&buf, r); err != nil || glyph == 0 || r > 0xffff {
			return '?'
		}
		return r
	}, s)
}

func (p *page) font(style string, size float64) { p.SetFont("go", style, size) }

func (p *page) head(d *Paper) {
	p.font("B", 18)
	p.CellFormat(width, 10, titles[d.Kind], "", 1, "L", false, 0, "")
	p.Ln(3)
	top := p.GetY()
	p.party("From", &d.Seller, margin)
	left := p.GetY()
	p.SetY(top)
	p.party("To", &d.Buyer, margin+width/2)
	p.SetXY(margin, max(left, p.GetY())+4)
	for _, fact := range [][2]string{
		{"Number", d.Number}, {"Date", day(d.Issued)}, {"Date of supply", day(d.Supplied)}, {"Due", day(d.Due)},
		{"Assignment", assignment(d.Booking)}, {"Purchase order", d.PurchaseOrder}, {"Cost centre", d.CostCentre},
		{"About invoice", d.Corrects}, {"Reason", d.Reason},
	} {
		if fact[1] == "" {
			continue
		}
		p.font("", 9)
		p.SetTextColor(110, 110, 110)
		p.CellFormat(40, row, fact[0], "", 0, "L", false, 0, "")
		p.SetTextColor(0, 0, 0)
		p.MultiCell(width-40, row, p.text(fact[1]), "", "L", false)
	}
	p.Ln(5)
}

func assignment(id fleet.BookingID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// day writes a date as people do; what is none as it is.
func day(date string) string {
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return at.Format("2 January 2006")
}

func (p *page) party(head string, who *Party, x float64) {
	p.SetX(x)
	p.font("", 8)
	p.SetTextColor(110, 110, 110)
	p.CellFormat(width/2-5, 5, head, "", 2, "L", false, 0, "")
	p.SetTextColor(0, 0, 0)
	p.font("B", 10)
	p.MultiCell(width/2-5, 5, p.text(who.Name), "", "L", false)
	p.font("", 9)
	lines := append([]string{}, who.Address...)
	lines = append(lines, who.Email)
	if who.VATNumber != "" {
		lines = append(lines, "VAT number "+who.VATNumber)
	}
	if who.CompanyNumber != "" {
		lines = append(lines, "Company number "+who.CompanyNumber)
	}
	for _, line := range lines {
		if line != "" {
			p.SetX(x)
			p.MultiCell(width/2-5, 4.5, p.text(line), "", "L", false)
		}
	}
}

func (p *page) lines(d *Paper) {
	p.font("B", 9)
	p.SetFillColor(240, 240, 240)
	p.CellFormat(width-money, row+1, " Item", "", 0, "L", true, 0, "")
	amount := "Amount, VAT included "
	if d.VATPercent == 0 {
		amount = "Amount "
	}
	p.CellFormat(money, row+1, amount, "", 1, "R", true, 0, "")
	for _, line := range d.Lines {
		p.font("", 9)
		text := line.Text
		if line.Detail != "" {
			text += " · " + line.Detail
		}
		y := p.GetY()
		p.MultiCell(width-money, row, p.text(" "+text), "", "L", false)
		bottom := p.GetY()
		if bottom < y { // the page was turned
			y = bottom - row
		}
		p.SetXY(margin+width-money, y)
		p.CellFormat(money, row, line.Amount.String()+" ", "", 0, "R", false, 0, "")
		p.SetXY(margin, bottom)
	}
	p.Line(margin, p.GetY()+1, margin+width, p.GetY()+1)
	p.Ln(3)
}

func (p *page) sums(d *Paper) {
	total := "Total"
	switch d.Kind {
	case fleet.CreditNote:
		total = "Total credited"
	case fleet.Statement:
		total = "Total due"
	case fleet.Receipt:
		total = "Total paid"
	}
	if d.Kind != fleet.Statement && d.Kind != fleet.Receipt {
		p.sum("", "Total excluding VAT", d.Net)
		p.sum("", fmt.Sprintf("VAT at %d%%", d.VATPercent), d.VAT)
	}
	p.sum("B", total, d.Total)
	if d.Paid != "" {
		p.Ln(4)
		p.font("", 9)
		p.MultiCell(width, 5, p.text(d.Paid), "", "L", false)
	}
}

func (p *page) sum(style, text string, amount fleet.Money) {
	p.font(style, 10)
	p.CellFormat(width-money, row, text+" ", "", 0, "R", false, 0, "")
	p.CellFormat(money, row, amount.String()+" ", "", 1, "R", false, 0, "")
}

func (p *page) footer(d *Paper) {
	p.SetY(-margin + 5)
	p.font("", 7)
	p.SetTextColor(110, 110, 110)
	p.CellFormat(width, 4, fmt.Sprintf("%s · %s %s · page %d", p.text(d.Seller.Name), titles[d.Kind], d.Number, p.PageNo()), "", 0, "C", false, 0, "")
	p.SetTextColor(0, 0, 0)
}
