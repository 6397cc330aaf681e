package twilio

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// there sends Twilio's own client to another server.
type there struct{ *url.URL }

func (t there) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = t.Scheme, t.Host
	return http.DefaultTransport.RoundTrip(r)
}

func TestTwiliosOwnClientUnderstandsIt(t *testing.T) {
	t.Parallel()
	server := New("AC01", "token")
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	at, err := url.Parse(listening.URL)
	if err != nil {
		t.Fatal(err)
	}
	service := func(token string) *api.ApiService {
		c := &client.Client{Credentials: client.NewCredentials("AC01", token), HTTPClient: &http.Client{Transport: there{at}}}
		c.SetAccountSid("AC01")
		return api.NewApiServiceWithClient(c)
	}
	made, err := service("token").CreateMessage(new(api.CreateMessageParams).SetTo("+447700900123").SetFrom("ARMORA").SetBody("Hello"))
	if err != nil || *made.Status != "queued" {
		t.Fatalf("%+v, %v", made, err)
	}
	server.Report(*made.Sid, "delivered")
	got, err := service("token").FetchMessage(*made.Sid, nil)
	if err != nil || *got.Status != "delivered" || *got.Body != "Hello" {
		t.Fatalf("%+v, %v", got, err)
	}
	for code, ask := range map[int]func() error{
		20404: func() error { _, err := service("token").FetchMessage("SM00", nil); return err },
		20003: func() error { _, err := service("wrong").FetchMessage(*made.Sid, nil); return err },
		21602: func() error {
			_, err := service("token").CreateMessage(new(api.CreateMessageParams).SetTo("+447700900123").SetFrom("ARMORA"))
			return err
		},
	} {
		var refusal *client.TwilioRestError
		if err := ask(); !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("%v, want code %d", err, code)
		}
	}
}
