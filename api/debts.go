package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
	"armora/payment"
)

// Debt is what is due for an assignment and could not be taken.
type Debt struct {
	ID        fleet.DebtID    `json:"id" format:"uuid"`
	UserID    fleet.UserID    `json:"user_id" format:"uuid"`
	BookingID fleet.BookingID `json:"booking_id" format:"uuid"`
	Status    fleet.DebtState `json:"status" enum:"open,paid,forgiven,written_off"`
	Amount    fleet.Money     `json:"amount"`
	Reason    string          `json:"reason" doc:"Why it could not be taken: card_declined, no_card"`
	CreatedAt time.Time       `json:"created_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
}

func showDebt(d fleet.Debt) Debt {
	return Debt{ID: d.ID, UserID: d.User, BookingID: d.Booking, Status: d.State, Amount: d.Amount, Reason: d.Reason, CreatedAt: d.Created, EndedAt: d.Ended}
}

type listDebtsInput struct {
	PageQuery
	Open bool `query:"open" doc:"Only those that are not paid"`
}

type listEverybodysDebtsInput struct {
	PageQuery
	Open bool         `query:"open" doc:"Only those that are not paid"`
	User fleet.UserID `query:"user" format:"uuid" doc:"Only theirs"`
}

type payDebtInput struct {
	ID   fleet.DebtID `path:"id" format:"uuid"`
	Body struct {
		PaymentMethodID string `json:"payment_method_id,omitempty" minLength:"3" maxLength:"100" doc:"As of reserve"`
	}
}

func (s *Server) addDebts(tags []string) {
	route(s, principals(), huma.Operation{
		OperationID: "list-own-debts", Method: http.MethodGet, Path: "/api/payments/debts",
		Summary:     "What one owes for assignments, the newest first",
		Description: "Who owes something books nothing new until it is paid.",
		Tags:        tags,
	}, s.listOwnDebts)
	route(s, principals().rated(costly), huma.Operation{
		OperationID: "pay-debt", Method: http.MethodPost, Path: "/api/payments/debts/{id}/pay",
		Summary: "Pay what one owes", Tags: tags,
	}, s.payDebt)
	route(s, cashiers(), huma.Operation{
		OperationID: "list-debts", Method: http.MethodGet, Path: "/api/debts",
		Summary: "What people owe for assignments, the newest first", Tags: tags,
	}, s.listDebts)
}

func (s *Server) debts(in *PageQuery, read func(c *payment.Cashier, before fleet.DebtID, limit int) ([]fleet.Debt, error)) (*pageOutput[Debt], error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	var before fleet.DebtID
	if err := readCursor(in.Cursor, &before); err != nil {
		return nil, err
	}
	debts, err := read(cashier, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(debts, in.Limit, showDebt, func(d fleet.Debt) any { return d.ID })
}

func (s *Server) listOwnDebts(ctx context.Context, in *listDebtsInput) (*pageOutput[Debt], error) {
	return s.debts(&in.PageQuery, func(c *payment.Cashier, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
		return c.Debts(ctx, callerOf(ctx).User, in.Open, before, limit)
	})
}

func (s *Server) listDebts(ctx context.Context, in *listEverybodysDebtsInput) (*pageOutput[Debt], error) {
	return s.debts(&in.PageQuery, func(c *payment.Cashier, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
		return c.DebtsFor(ctx, staffOf(ctx), in.User, in.Open, before, limit)
	})
}

func (s *Server) payDebt(ctx context.Context, in *payDebtInput) (*reservationOutput, error) {
	cashier, err := s.cashier()
	if err != nil {
		return nil, err
	}
	return showReservation(cashier.PayDebt(ctx, callerOf(ctx).User, in.ID, in.Body.PaymentMethodID))
}
