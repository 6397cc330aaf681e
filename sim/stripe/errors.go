package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is the body of a refusal. Like Stripe's it holds the intent, and with it
// the client secret.
type Error struct {
	Status        int          `json:"-"` // of HTTP
	Type          string       `json:"type"`
	Code          string       `json:"code,omitempty"`
	DeclineCode   string       `json:"decline_code,omitempty"`
	Message       string       `json:"message"`
	Param         string       `json:"param,omitempty"`
	Charge        string       `json:"charge,omitempty"`
	DocURL        string       `json:"doc_url,omitempty"`
	PaymentIntent *Intent      `json:"payment_intent,omitempty"`
	SetupIntent   *SetupIntent `json:"setup_intent,omitempty"`
	PaymentMethod *Method      `json:"payment_method,omitempty"`
}

func (e *Error) Error() string {
	return fmt.Sprintf("stripe: %d %s %s %s: %s", e.Status, e.Type, e.Code, e.DeclineCode, e.Message)
}

// invalid refuses what was asked.
func invalid(code, param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// declined is the issuer's refusal.
func declined(code, declineCode string) *Error {
	message := map[string]string{
		"card_declined":           "Your card was declined.",
		"expired_card":            "Your card has expired.",
		"incorrect_cvc":           "Your card's security code is incorrect.",
		"incorrect_number":        "Your card number is incorrect.",
		"invalid_expiry_month":    "Your card's expiration month is invalid.",
		"invalid_expiry_year":     "Your card's expiration year is invalid.",
		"invalid_cvc":             "Your card's security code is invalid.",
		"processing_error":        "An error occurred while processing your card. Try again in a little bit.",
		"authentication_required": "Your card was declined. This transaction requires authentication.",
	}[code]
	return &Error{Status: http.StatusPaymentRequired, Type: "card_error", Code: code, DeclineCode: declineCode, Message: message}
}

func status(err error) int {
	var refusal *Error
	if errors.As(err, &refusal) && refusal.Status != 0 {
		return refusal.Status
	}
	return http.StatusInternalServerError
}

func wrap(err error) []byte {
	var refusal *Error
	if !errors.As(err, &refusal) {
		refusal = &Error{Type: "api_error", Message: err.Error()}
	}
	if refusal.Code != "" {
		whole := *refusal
		whole.DocURL = "https://stripe.com/docs/error-codes/" + refusal.Code
		refusal = &whole
	}
	body, failed := json.Marshal(map[string]any{"error": refusal})
	if failed != nil {
		panic(failed) // our own types
	}
	return body
}
