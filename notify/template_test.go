package notify

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"armora/fleet"
)

// trip and money are what notices of bookings, and of payments for them, are filled with.
var (
	trip = map[string]string{
		"start": "2026-05-04T09:00:00Z", "end": "2026-05-04T11:00:00Z", "zone": "Europe/London", "length": "2 h",
		"tier": "client_vehicle", "officers": "Cy, Bo", "total": "£120.00", "fee": "£60.00", "yours": "yes",
	}
	emergency = map[string]string{"kind": "DRILL: SOS", "what": "medical, silent", "who": "a protection officer", "at": "2026-05-04T10:00:00Z"}
	alarmed   = map[string]string{"what": "an assignment has stopped where no stop was planned", "at": "2026-05-04T10:00:00Z"}
	money     = map[string]string{
		"link":   "https://hub.example/pay#1",
		"amount": "£120.00", "ref": "R-2026-000123", "start": "2026-05-04T09:00:00Z", "zone": "Europe/London", "by": "2026-05-03T09:00:00Z",
	}
)

// samples are what each kind of notice is filled with, by those who send it.
var samples = map[string]map[string]string{
	"verify_email.mail":       {"code": "123456"},
	"account_exists.mail":     nil,
	"reset_password.mail":     {"code": "123456"},
	"password_changed.mail":   nil,
	"change_email.mail":       {"code": "123456"},
	"email_changed.mail":      nil,
	"export_asked.mail":       nil,
	"export_ready.mail":       nil,
	"share_made.mail":         {"label": "Bo", "at": "2026-05-04T10:00:00Z"},
	"account_erased.mail":     nil,
	"erasure_request.mail":    {"address": "ada@example.com"},
	"offer.push":              nil,
	"payment_invoice.mail":    {"number": "ARM-2026-000123", "total": "£120.00"},
	"payment_statement.mail":  {"number": "STM-2026-000001", "month": "March 2026", "total": "£120.00", "due": "2026-05-04T10:00:00Z"},
	"payment_overdue.mail":    {"number": "STM-2026-000001", "organisation": "Acme Ltd", "total": "£120.00", "due": "2026-05-04T10:00:00Z"},
	"payment_blocked.mail":    {"number": "STM-2026-000001", "organisation": "Acme Ltd", "total": "£120.00", "due": "2026-05-04T10:00:00Z"},
	"payment_approval.mail":   {"order": "PO-77", "total": "£120.00", "start": "2026-05-04T10:00:00Z"},
	"payment_credit.mail":     {"number": "CRN-2026-000007", "total": "£20.00", "corrects": "ARM-2026-000123"},
	"payment_debit.mail":      {"number": "DBN-2026-000001", "total": "£20.00", "corrects": "ARM-2026-000123"},
	"payment_receipt.mail":    {"number": "RCT-2026-000001", "total": "£20.00", "corrects": "ARM-2026-000123"},
	"chat_message.push":       nil,
	"verify_phone.sms":        {"code": "123456"},
	"phone_changed.mail":      nil,
	"identity_linked.mail":    {"provider": "Google"},
	"identity_unlinked.mail":  {"provider": "Google"},
	"second_factor.mail":      {"what": "the recovery codes were replaced"},
	"new_sign_in.mail":        {"at": "2026-05-04T10:00:00Z", "agent": "Firefox", "address": "192.0.2.1", "method": "password"},
	"role_changed.mail":       {"roles": "protection officer, dispatcher"},
	"approval_needed.mail":    {"kind": "audit_log", "expires": "2026-05-04T10:00:00Z"},
	"contact_invitation.mail": {"to": "Bo", "from": "Ada", "link": "https://hub.example/c#t"},
	"contact_invitation.sms":  {"to": "Bo", "from": "Ada", "link": "https://hub.example/c#t"},
	"licence_expiring.mail": {
		"document": "right_to_work", "status": "active", "officer": "Cy Marsh", "vehicle": "", "deadline": "2026-05-04T10:00:00Z", "reason": "",
	},
	"safety_alarm.mail":             alarmed,
	"safety_alarm.push":             alarmed,
	"safety_alarm.sms":              alarmed,
	"safety_alarm.voice":            alarmed,
	"safety_sos.mail":               emergency,
	"safety_sos.push":               emergency,
	"safety_sos.sms":                emergency,
	"safety_sos.voice":              emergency,
	"safety_contact.mail":           {"to": "Bo", "from": "Ada", "at": "2026-05-04T10:00:00Z"},
	"safety_contact.sms":            {"to": "Bo", "from": "Ada", "at": "2026-05-04T10:00:00Z"},
	"booking_made.mail":             trip,
	"booking_assigned.mail":         trip,
	"booking_officer_lost.mail":     trip,
	"booking_changed.mail":          trip,
	"booking_cancelled.mail":        trip,
	"booking_missed.mail":           trip,
	"booking_unfulfilled.mail":      trip,
	"trip_arriving.mail":            trip,
	"trip_arrived.mail":             trip,
	"trip_started.mail":             trip,
	"trip_handed_over.mail":         trip,
	"trip_extended.mail":            trip,
	"trip_completed.mail":           trip,
	"assignment_yours.mail":         trip,
	"assignment_taken.mail":         trip,
	"assignment_changed.mail":       trip,
	"assignment_cancelled.mail":     trip,
	"booking_cancelled.sms":         trip,
	"booking_unfulfilled.sms":       trip,
	"trip_arrived.sms":              trip,
	"assignment_cancelled.sms":      trip,
	"trip_arriving.push":            trip,
	"trip_arrived.push":             trip,
	"trip_started.push":             trip,
	"payment_action.mail":           money,
	"payment_action.push":           money,
	"payment_action.sms":            money,
	"payment_membership.mail":       {"amount": "£50.00", "link": "https://armora.example/pay#membership"},
	"payment_membership.push":       {"amount": "£50.00", "link": "https://armora.example/pay#membership"},
	"payment_membership_ended.mail": {"link": "https://armora.example/pay#membership"},
	"payment_failed.mail":           money,
	"booking_series.mail":           {"count": "8", "last": "2026-05-04T09:00:00Z", "zone": "Europe/London"},
	"officer_unfit.mail": {
		"document": "sia_licence", "status": "suspended", "officer": "Cy Marsh", "vehicle": "AR001", "deadline": "2026-05-04T10:00:00Z", "reason": "by the SIA",
	},
}

func TestEveryTemplateIsFilled(t *testing.T) {
	t.Parallel()
	all, err := readTemplates()
	if err != nil {
		t.Fatal(err)
	}
	forms := all.in("en")
	names, err := fs.Glob(files, "templates/en/*.txt")
	if err != nil || len(names) != len(samples) {
		t.Errorf("%d templates and %d samples, %v", len(names), len(samples), err)
	}
	unwanted := regexp.MustCompile(`(?i)\b(ride|rider|passenger|fare|driver)s?\b|<no value>|_|\{\{`)
	for name, data := range samples {
		kind, channel, _ := strings.Cut(name, ".")
		m, err := forms.fill(fleet.Channel(channel), kind, data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := m.Subject + "\n" + m.Body
		if bad := unwanted.FindString(text); bad != "" {
			t.Errorf("%s says %q: %s", name, bad, text)
		}
		if code := data["code"]; code != "" && (!strings.Contains(m.Body, code) || strings.Contains(m.Subject, code)) {
			t.Errorf("%s does not tell the code in its body alone: %s", name, text)
		}
		if channel == "sms" && (len(m.Body) > 160 || strings.Contains(m.Body, "\n")) {
			t.Errorf("%s is longer than a text message: %q", name, m.Body)
		}
		for key := range data {
			short := make(map[string]string)
			for other, value := range data {
				if other != key {
					short[other] = value
				}
			}
			if _, err := forms.fill(fleet.Channel(channel), kind, short); err == nil && uses(t, name, key) {
				t.Errorf("%s is filled without its %s", name, key)
			}
		}
	}
}

func uses(t *testing.T, name, key string) bool {
	t.Helper()
	text, err := files.ReadFile("templates/en/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), "."+key)
}

// What a stranger has chosen makes neither headers nor lines of its own.
func TestAValueIsOneLine(t *testing.T) {
	t.Parallel()
	all, err := readTemplates()
	if err != nil {
		t.Fatal(err)
	}
	forms := all.in("en")
	m, err := forms.fill(fleet.MailChannel, "contact_invitation", map[string]string{
		"to": "Bo\n\nPay here:\u2028", "from": "Ada\r\nBcc: eve@example.com", "link": "https://hub.example/c#t",
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "Ada  Bcc: eve@example.com names you as an emergency contact" || !strings.HasPrefix(m.Body, "Dear Bo  Pay here: ,\n") {
		t.Errorf("%q, %q", m.Subject, m.Body)
	}
}

func TestATimeThatIsNoneIsNotQuoted(t *testing.T) {
	t.Parallel()
	all, err := readTemplates()
	if err != nil {
		t.Fatal(err)
	}
	forms := all.in("en")
	data := map[string]string{"document": "x", "officer": "x", "vehicle": "x", "deadline": "hunter2"}
	if _, err := forms.fill(fleet.MailChannel, "licence_expiring", data); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
