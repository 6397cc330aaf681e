package fleet

import "time"

// LedgerID identifies a transaction of the ledger.
type LedgerID = ID[Posting]

// Account is one account of the ledger.
type Account string

// The accounts. What a principal owes is an account of their own.
const (
	AccountStripe     Account = "stripe"      // what Stripe holds for us
	AccountRevenue    Account = "revenue"     // without VAT
	AccountVAT        Account = "vat"         // owed to HMRC
	AccountFees       Account = "fees"        // Stripe's
	AccountOfficers   Account = "officers"    // owed to officers
	AccountPay        Account = "pay"         // what officers cost
	AccountDisputes   Account = "disputes"    // taken back by banks
	AccountWrittenOff Account = "written_off" // owed to us, and given up
	AccountBank       Account = "bank"        // what came outside of Stripe, and Stripe's payouts
)

// OrganisationAccount is what an organisation owes us.
func OrganisationAccount(id OrganisationID) Account { return Account("organisation:" + id.String()) }

// PrincipalAccount is what a principal owes us: less than zero, we owe them.
func PrincipalAccount(user UserID) Account { return Account("principal:" + user.String()) }

// Posting is one transaction of the ledger: entries that sum to zero, posted once
// for one Key, and never changed. What was wrong is set right by another one.
type Posting struct {
	ID      LedgerID
	Key     string // what it tells of, so that it is posted once: capture/<payment>
	Kind    string // the key's first word
	Booking BookingID
	Payment PaymentID
	At      time.Time
	Entries []Entry
}

// Entry is one line of a posting: above zero a debit, below zero a credit.
type Entry struct {
	Account Account
	Amount  Money
}

// Post makes a posting of amount from one account to another: to is debited, from
// is credited.
func Post(key string, at time.Time, amount Money, from, to Account) Posting {
	return Posting{Key: key, At: at, Entries: []Entry{
		{Account: to, Amount: amount}, {Account: from, Amount: Money{Amount: -amount.Amount, Currency: amount.Currency}},
	}}
}
