package notify

import (
	"strings"
	"testing"

	"armora/fleet"
	"armora/sim/smtp"
)

func TestProcessorsForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.MailPrivacy = "privacy@relay.example" })
	const theirs, others = "+447700900123", "+447700900124"
	for _, to := range []string{theirs, others, theirs, theirs, theirs} {
		if did := w.sms.send(t.Context(), fleet.Notice{To: to, Expires: noon}, Message{Body: "Hello"}, noon); did.state != fleet.NoticeSent {
			t.Fatal(did)
		}
	}
	done, err := w.ForgetSMS(t.Context(), theirs)
	if left := w.texts.Took(); err != nil || done != "4 text messages deleted" || len(left) != 1 || left[0].To != others {
		t.Errorf("%q, %v; %v are left", done, err, left)
	}
	id := fleet.NewID[fleet.Erasure]()
	if done, err := w.ForgetMail(t.Context(), id, "ada@example.com"); err != nil || done != "written to" {
		t.Errorf("%q, %v", done, err)
	}
	mails := w.mails.Took()
	if len(mails) != 1 || !strings.Contains(mails[0].Body, "ada@example.com") || mails[0].To[0] != "privacy@relay.example" {
		t.Errorf("sent %+v", mails)
	}
	w.mails.Plan(smtp.Fault{At: smtp.Recipient, Act: smtp.Refuse, Code: 451})
	if _, err := w.ForgetMail(t.Context(), id, "ada@example.com"); err == nil || strings.Contains(err.Error(), "ada@") {
		t.Errorf("while the server refuses it: %v", err)
	}
	untold := newWorld(t)
	if done, err := untold.ForgetMail(t.Context(), id, "ada@example.com"); err != nil || !strings.Contains(done, "nobody was written to") {
		t.Errorf("%q, %v", done, err)
	}
}
