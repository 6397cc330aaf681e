package notify

import (
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/sim/smtp"
	"armora/sim/twilio"
)

// alarm is a kind of notice of safety, for these tests.
func (w *world) alarm() {
	w.t.Helper()
	for _, channel := range []string{"mail", "sms"} {
		text := "Subject: Help\n\nSomebody needs help."
		if channel == "sms" {
			text = "Somebody needs help."
		}
		if _, err := w.templates[fallback].all.New("safety_test." + channel + ".txt").Parse(text); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Nobody knows whether it was taken: one of safety is sent again, until somebody
// has taken it, and shows that it is the same.
func TestANoticeOfSafetyIsSentUntilItIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alarm()
	n := w.notice(fleet.SMSChannel, "safety_test", "+447700900123", nil)
	w.texts.Plan(twilio.Fault{Act: twilio.Take}) // taken, and the answer is lost
	if err := w.work(n); err == nil {
		t.Fatal("its job is over")
	}
	w.is(n, fleet.NoticeUnknown, "never said")
	if err := w.job(t.Context(), n, 2); err != nil {
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeSent, "")
	if err := w.job(t.Context(), n, 3); err != nil {
		t.Fatal(err)
	}
	took := w.texts.Took()
	if len(took) != 2 || took[0].Body != took[1].Body || !strings.HasSuffix(took[0].Body, "Ref. "+n.Reference()) {
		t.Errorf("it took %+v", took)
	}
	// Its sender died, and never said.
	lost := w.notice(fleet.MailChannel, "safety_test", "ada@example.com", nil)
	if _, err := w.notices.Claim(t.Context(), lost.ID, noon); err != nil {
		t.Fatal(err)
	}
	if err := w.job(t.Context(), lost, 2); err != nil {
		t.Fatal(err)
	}
	w.is(lost, fleet.NoticeSent, "")
	mails := w.mails.Took()
	if len(mails) != 1 || !strings.Contains(mails[0].Body, lost.Reference()) {
		t.Errorf("it took %+v", mails)
	}
}

// The same by several channels has one reference, and something else another.
func TestAReferenceIsOfWhatIsTold(t *testing.T) {
	t.Parallel()
	one := fleet.Notice{ID: fleet.NewID[fleet.Notice](), Once: "sos/1"}
	same := fleet.Notice{ID: fleet.NewID[fleet.Notice](), Once: "sos/1", Channel: fleet.SMSChannel}
	other := fleet.Notice{ID: one.ID, Once: "sos/2"}
	if one.Reference() != same.Reference() || one.Reference() == other.Reference() || len(one.Reference()) != 7 {
		t.Errorf("%s, %s, %s", one.Reference(), same.Reference(), other.Reference())
	}
}

// Nothing of it is stored: it works without the database.
func TestWhatIsSentDirectly(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1", "phone-2")
	w.alarm()
	apps := w.registered()
	w.db.Close()
	mail := fleet.Notice{ID: fleet.NewID[fleet.Notice](), Channel: fleet.MailChannel, To: "ops@example.com", Kind: "safety_test", Created: noon, Expires: noon.Add(1)}
	if state, err := w.Direct(t.Context(), mail, nil); state != fleet.NoticeSent || err != nil {
		t.Errorf("the mail is %s, %v", state, err)
	}
	push := mail
	push.Channel = fleet.PushChannel
	if state, err := w.Direct(t.Context(), push, nil, apps...); state != fleet.NoticeSent || err != nil {
		t.Errorf("the push is %s, %v", state, err)
	}
	if mails, pushes := w.mails.Took(), w.fcm.Took(); len(mails) != 1 || len(pushes) != 2 || !strings.Contains(pushes[0].Notification.Body+mails[0].Body, mail.Reference()) {
		t.Errorf("sent %v and %v", mails, pushes)
	}
	w.mails.Plan(smtp.Fault{At: smtp.Recipient, Act: smtp.Refuse, Code: 550})
	if state, err := w.Direct(t.Context(), mail, nil); state != fleet.NoticeFailed || err == nil || strings.Contains(err.Error(), "ops@") {
		t.Errorf("what is refused is %s, %v", state, err)
	}
}

// registered are the apps that a hub knows by heart.
func (w *pushWorld) registered() []schema.SealedPushToken {
	w.t.Helper()
	apps, err := w.apps.Of(w.t.Context(), w.user, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	return apps
}

// An app that is gone is forgotten, also if it is an SOS that finds out; with the database
// away that takes nobody's time, and the other app is reached all the same.
func TestAnAppThatIsGoneIsForgottenBySafetyToo(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, "phone-1", "phone-2")
	w.alarm()
	apps := w.registered()
	w.fcm.Uninstall("phone-1")
	push := fleet.Notice{ID: fleet.NewID[fleet.Notice](), Channel: fleet.PushChannel, User: w.user, Kind: "safety_test", Created: noon, Expires: noon.Add(time.Hour)}
	if state, err := w.Direct(t.Context(), push, nil, apps...); state != fleet.NoticeSent || err != nil {
		t.Errorf("it is %s, %v", state, err)
	}
	if left := w.registered(); len(left) != 1 || string(left[0].Hash) != "phone-2" {
		t.Errorf("%d apps are left", len(left))
	}
	w.db.Close()
	if state, err := w.Direct(t.Context(), push, nil, apps...); state != fleet.NoticeSent || err != nil || len(w.fcm.Took()) != 2 {
		t.Errorf("without the database it is %s, %v", state, err)
	}
}
