package stripe

import "slices"

// Asks says when a card's issuer wants its holder to authenticate.
type Asks int

// When it does.
const (
	Never       Asks = iota
	UnlessSetUp      // for each payment, until the card was set up for later ones
	Always           // and so an off-session payment is refused
	OnSession        // only while the holder is there: the card counts as set up
)

// Magic is a card of Stripe's list of test cards and what it leads to.
type Magic struct {
	Number            string
	PM                string // the payment method that stands for it in a test
	Brand             string
	Code, DeclineCode string // how a payment is refused; "" when it is not
	Attaches          bool   // it can be kept with a customer though it is refused
	Asks              Asks
	Dispute           string // the reason for which each charge is disputed
	Inquiry           bool   // and only asked about: no money is withdrawn
	Refund            string // what becomes of a refund that is "pending", or first "succeeded": its last state
	Available         bool   // the money is at once
	Blocked           bool   // by Stripe, not the issuer
}

// The numbers. Of those that refuse, the name says what the refusal is.
const (
	Visa                    = "4242424242424242"
	Mastercard              = "5555555555554444"
	Amex                    = "378282246310005"
	Debit                   = "4000056655665556"
	Declined                = "4000000000000002"
	InsufficientFunds       = "4000000000009995"
	LostCard                = "4000000000009987"
	StolenCard              = "4000000000009979"
	ExpiredCard             = "4000000000000069"
	IncorrectCVC            = "4000000000000127"
	ProcessingError         = "4000000000000119"
	VelocityExceeded        = "4000000000006975"
	DeclineAfterAttach      = "4000000000000341"
	Blocked                 = "4100000000000019"
	IncorrectNumber         = "4242424242424241"
	AuthenticateUnlessSetUp = "4000002500003155"
	AlwaysAuthenticate      = "4000002760003184"
	AlreadySetUp            = "4000003800000446"
	AuthenticateNoFunds     = "4000008260003178"
	AuthenticateThenDecline = "4000008400001629"
	Authenticate3DS2        = "4000000000003220"
	DisputeFraudulent       = "4000000000000259"
	DisputeNotReceived      = "4000000000002685"
	DisputeInquiry          = "4000000000001976"
	RefundPending           = "4000000000007726"
	RefundFails             = "4000000000005126"
	BypassPending           = "4000000000000077"
)

const refused = "card_declined"

// Cards is the whole list.
var Cards = []Magic{
	{Number: Visa, PM: "pm_card_visa"},
	{Number: Mastercard, PM: "pm_card_mastercard", Brand: "mastercard"},
	{Number: Amex, PM: "pm_card_amex", Brand: "amex"},
	{Number: Debit, PM: "pm_card_visa_debit"},
	{Number: Declined, PM: "pm_card_visa_chargeDeclined", Code: refused, DeclineCode: "generic_decline"},
	{Number: InsufficientFunds, PM: "pm_card_visa_chargeDeclinedInsufficientFunds", Code: refused, DeclineCode: "insufficient_funds"},
	{Number: LostCard, PM: "pm_card_visa_chargeDeclinedLostCard", Code: refused, DeclineCode: "lost_card"},
	{Number: StolenCard, PM: "pm_card_visa_chargeDeclinedStolenCard", Code: refused, DeclineCode: "stolen_card"},
	{Number: ExpiredCard, PM: "pm_card_chargeDeclinedExpiredCard", Code: "expired_card"},
	{Number: IncorrectCVC, PM: "pm_card_chargeDeclinedIncorrectCvc", Code: "incorrect_cvc"},
	{Number: ProcessingError, PM: "pm_card_chargeDeclinedProcessingError", Code: "processing_error"},
	{Number: VelocityExceeded, PM: "pm_card_visa_chargeDeclinedVelocityLimitExceeded", Code: refused, DeclineCode: "card_velocity_exceeded"},
	{Number: DeclineAfterAttach, PM: "pm_card_chargeCustomerFail", Code: refused, DeclineCode: "generic_decline", Attaches: true},
	{Number: Blocked, PM: "pm_card_radarBlock", Code: refused, DeclineCode: "fraudulent", Attaches: true, Blocked: true},
	{Number: AuthenticateUnlessSetUp, PM: "pm_card_authenticationRequiredOnSetup", Asks: UnlessSetUp},
	{Number: AlwaysAuthenticate, PM: "pm_card_authenticationRequired", Asks: Always},
	{Number: AlreadySetUp, PM: "pm_card_authenticationRequiredSetupForOffSession", Asks: OnSession},
	{Number: AuthenticateNoFunds, PM: "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", Asks: Always, Code: refused, DeclineCode: "insufficient_funds", Attaches: true},
	{Number: AuthenticateThenDecline, PM: "pm_card_threeDSecureRequiredChargeDeclined", Asks: Always, Code: refused, DeclineCode: "generic_decline", Attaches: true},
	{Number: Authenticate3DS2, PM: "pm_card_threeDSecure2Required", Asks: Always},
	{Number: DisputeFraudulent, PM: "pm_card_createDispute", Dispute: "fraudulent"},
	{Number: DisputeNotReceived, PM: "pm_card_createDisputeProductNotReceived", Dispute: "product_not_received"},
	{Number: DisputeInquiry, PM: "pm_card_createDisputeInquiry", Dispute: "fraudulent", Inquiry: true},
	{Number: RefundPending, PM: "pm_card_pendingRefund", Refund: "succeeded"},
	{Number: RefundFails, PM: "pm_card_refundFail", Refund: "failed"},
	{Number: BypassPending, PM: "pm_card_bypassPending", Available: true},
}

// magic finds a card by its number or its payment method.
func magic(name string) (Magic, bool) {
	i := slices.IndexFunc(Cards, func(m Magic) bool { return m.Number == name || m.PM == name })
	if i < 0 {
		return Magic{}, false
	}
	m := Cards[i]
	if m.Brand == "" {
		m.Brand = "visa"
	}
	return m, true
}

// asks reports whether the holder has to authenticate for a payment.
func (m *Method) asks(off bool) bool {
	switch m.magic.Asks {
	case Always:
		return true
	case UnlessSetUp:
		return !m.setUp
	case OnSession:
		return !off
	default:
		return false
	}
}

// asksToBeSetUp reports whether the holder has to authenticate before it is kept.
func (m *Method) asksToBeSetUp() bool {
	return m.magic.Asks == Always || m.magic.Asks == UnlessSetUp && !m.setUp
}

// luhn reports whether the last digit of a card number fits the others (ISO/IEC
// 7812-1).
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return len(number) >= 12 && sum%10 == 0
}
