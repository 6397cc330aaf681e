package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/payment"
)

// Payment is one payment of an assignment.
type Payment struct {
	ID            fleet.PaymentID    `json:"id" format:"uuid"`
	BookingID     fleet.BookingID    `json:"booking_id" format:"uuid"`
	Purpose       fleet.Purpose      `json:"purpose" enum:"initial,extension,reauthorisation,overage,fee,debt"`
	Status        fleet.PaymentState `json:"status" enum:"new,needs_method,needs_action,processing,held,captured,cancelled,expired,failed"`
	Amount        fleet.Money        `json:"amount" doc:"That was asked for: of the assignment's price as it was quoted"`
	Captured      fleet.Money        `json:"captured" doc:"That was taken; the rest of what was held is released"`
	Refunded      fleet.Money        `json:"refunded" doc:"Of what was taken"`
	CaptureBefore time.Time          `json:"capture_before,omitzero" doc:"When the hold runs out, as the card's bank says"`
	Code          string             `json:"code,omitempty" doc:"Why it was refused last: card_declined"`
	DeclineCode   string             `json:"decline_code,omitempty" doc:"To staff: why the bank refused it"`
	CreatedAt     time.Time          `json:"created_at"`
}

// Refund is money that is given back.
type Refund struct {
	ID        fleet.RefundID    `json:"id" format:"uuid"`
	PaymentID fleet.PaymentID   `json:"payment_id" format:"uuid"`
	Status    fleet.RefundState `json:"status" enum:"waiting,rejected,new,pending,succeeded,failed" doc:"Waiting is for a second person's approval; what has succeeded may fail days later"`
	Amount    fleet.Money       `json:"amount"`
	Reason    string            `json:"reason,omitempty" doc:"To staff"`
	Approval  fleet.ApprovalID  `json:"approval_id,omitzero" format:"uuid" doc:"That it waits, or waited, for"`
	CreatedAt time.Time         `json:"created_at"`
}

func showPayment(p fleet.Payment, staff bool) Payment {
	in := func(amount int64) fleet.Money { return fleet.Money{Amount: amount, Currency: p.Amount.Currency} }
	shown := Payment{
		ID: p.ID, BookingID: p.Booking, Purpose: p.Purpose, Status: p.State, Amount: p.Amount, Captured: in(p.Captured), Refunded: in(p.Refunded),
		CaptureBefore: p.CaptureBefore, Code: p.Code, CreatedAt: p.Created,
	}
	if staff { // a bank that says "stolen" does not say it to whoever holds the card
		shown.DeclineCode = p.Decline
	}
	return shown
}

func showRefund(r fleet.Refund, staff bool) Refund {
	shown := Refund{ID: r.ID, PaymentID: r.Payment, Status: r.State, Amount: r.Amount, CreatedAt: r.Created}
	if staff {
		shown.Reason, shown.Approval = r.Reason, r.Approval
	}
	return shown
}

// Reservation is how far the hold of an amount has come, and what the client has to
// do for it.
type Reservation struct {
	PaymentID    fleet.PaymentID `json:"payment_id" format:"uuid"`
	Status       string          `json:"status" enum:"scheduled,new,needs_method,needs_action,processing,held,captured,cancelled,expired,failed" doc:"Scheduled is held a day before the start"`
	Amount       fleet.Money     `json:"amount"`
	ClientSecret string          `json:"client_secret,omitempty" doc:"With which the client's card form confirms it: of a payment intent, or with set_up_card of a setup intent"`
	NextAction   *NextAction     `json:"next_action,omitempty" doc:"Absent: there is nothing to do"`
	Code         string          `json:"code,omitempty" doc:"Why it was refused last: card_declined"`
}

// NextAction is what a client has to do.
type NextAction struct {
	Type string `json:"type" enum:"authenticate,confirm,set_up_card" doc:"Authenticate: the principal's bank asks for them. Confirm: with a card. Set up card: likewise, to be used later"`
	URL  string `json:"url,omitempty" doc:"Of the bank's page, where there is one"`
}

type reservationOutput struct{ Body Reservation }

func showReservation(r payment.Reservation, err error) (*reservationOutput, error) {
	if err != nil {
		return nil, err
	}
	p := &r.Payment
	out := &reservationOutput{Body: Reservation{
		PaymentID: p.ID, Status: string(p.State), Amount: p.Amount, ClientSecret: r.ClientSecret, Code: p.Code,
	}}
	if r.Planned {
		out.Body.Status = "scheduled"
	}
	if r.NextAction != "" {
		out.Body.NextAction = &NextAction{Type: r.NextAction, URL: r.URL}
	}
	return out, nil
}

type paymentOutput struct{ Body Payment }

type refundOutput struct{ Body Refund }

type paymentsOutput struct {
	Body struct {
		Payments []Payment `json:"payments"`
		Refunds  []Refund  `json:"refunds"`
	}
}

type reserveInput struct {
	Body struct {
		BookingID       fleet.BookingID `json:"booking_id" format:"uuid"`
		PaymentMethodID string          `json:"payment_method_id,omitempty" minLength:"3" maxLength:"100" doc:"One of the caller's cards, or one that Stripe's card form has just made (pm_…); absent: the preferred one, or one that the card form confirms with"`
	}
}

type chargeInput struct {
	Body struct {
		PaymentID fleet.PaymentID `json:"payment_id" format:"uuid"`
	}
}

type refundInput struct {
	Body struct {
		PaymentID fleet.PaymentID `json:"payment_id" format:"uuid"`
		Amount    int64           `json:"amount,omitempty" minimum:"1" maximum:"99999999" doc:"In the smallest unit of the payment's currency; absent: all that is left"`
		Reason    string          `json:"reason" minLength:"1" maxLength:"500"`
	}
}

// cashiers see to money.
func cashiers() access { return only(fleet.RoleFinance, fleet.RoleAdmin) }

func (s *Server) addPayments() {
	tags := []string{"payments"}
	route(s, principals().rated(costly), huma.Operation{
		OperationID: "reserve-payment", Method: http.MethodPost, Path: "/api/payments/reserve",
		Summary:     "Have the amount of an assignment held, with its principal there",
		Description: "The amount is the assignment's. It may be asked again at any time, and says how far it has come. Card data goes from the client's card form to Stripe alone.",
		Tags:        tags,
	}, s.reservePayment)
	route(s, cashiers(), huma.Operation{
		OperationID: "charge-payment", Method: http.MethodPost, Path: "/api/payments/charge",
		Summary:     "Take what is held before the assignment is over",
		Description: "What the assignment costs is taken, at most what is held; the rest is released. At the end it is taken without being asked, and what was too much is given back.",
		Tags:        tags,
	}, s.chargePayment)
	route(s, only(fleet.RoleDispatcher, fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "refund-payment", Method: http.MethodPost, Path: "/api/payments/refund",
		Summary:     "Give back what was taken, or a part of it",
		Description: "Of one assignment a dispatcher may refund £50, finance and admins £500; what is more waits for a second person (approvals).",
		Tags:        tags,
	}, s.refundPayment)
	route(s, only(fleet.RoleRider, fleet.RoleDispatcher, fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "list-booking-payments", Method: http.MethodGet, Path: "/api/bookings/{id}/payments",
		Summary: "What was held, taken and given back for an assignment", Tags: tags,
	}, s.listPayments)
	s.addCards(tags)
	s.addDebts(tags)
}

// codeNoPayments tells an app that nothing has to be paid here.
const codeNoPayments fleet.Code = "payments_off"

// cashier is who sees to money, if anybody does.
func (s *Server) cashier() (*payment.Cashier, error) {
	if s.cfg.Payments == nil {
		return nil, refusal(http.StatusNotFound, codeNoPayments, "this hub takes no payments: every account is invoiced")
	}
	return s.cfg.Payments, nil
}

func (s *Server) reservePayment(ctx context.Context, in *reserveInput) (*reservationOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	return showReservation(cashier.Reserve(ctx, callerOf(ctx).User, in.Body.BookingID, in.Body.PaymentMethodID))
}

// staffOf says for whom of the staff the caller acts.
func staffOf(ctx context.Context) payment.Staff {
	caller := callerOf(ctx)
	staff := payment.Staff{User: caller.User}
	for _, role := range fleet.Staff() {
		if caller.Has(role) {
			staff.Roles = append(staff.Roles, role)
		}
	}
	return staff
}

func (s *Server) chargePayment(ctx context.Context, in *chargeInput) (*paymentOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	p, err := cashier.Charge(ctx, staffOf(ctx), in.Body.PaymentID)
	return &paymentOutput{Body: showPayment(p, true)}, err
}

func (s *Server) refundPayment(ctx context.Context, in *refundInput) (*refundOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	r, err := cashier.Refund(ctx, staffOf(ctx), in.Body.PaymentID, in.Body.Amount, in.Body.Reason)
	return &refundOutput{Body: showRefund(r, true)}, err
}

func (s *Server) listPayments(ctx context.Context, in *BookingPath) (*paymentsOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	paid, err := cashier.Paid(ctx, staffOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	if paid.ByStaff {
		if err := s.audited(ctx, "read_payments", "booking/"+in.ID.String(), []fleet.UserID{paid.User}, nil); err != nil {
			return nil, err
		}
	}
	out := &paymentsOutput{}
	out.Body.Payments = showAll(paid.Payments, func(p fleet.Payment) Payment { return showPayment(p, paid.ByStaff) })
	out.Body.Refunds = showAll(paid.Refunds, func(r fleet.Refund) Refund { return showRefund(r, paid.ByStaff) })
	return out, nil
}
