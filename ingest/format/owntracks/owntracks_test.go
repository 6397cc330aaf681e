package owntracks_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"

	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/owntracks"
)

// From https://owntracks.org/booklet/features/traccar/, and with every element
// that https://owntracks.org/booklet/tech/json/ documents for a location.
const (
	booklet  = `{"lon":2.29513,"lat":48.85833,"_type":"location","tst":1497476456, "tid":"JJ"}`
	location = `{"cog":271,"batt":41,"lon":2.29513,"acc":5,"vel":54,"vac":21,"lat":48.85833,"t":"u",` +
		`"conn":"w","tst":1497508651,"alt":167,"_type":"location","topic":"owntracks/jane/phone","tid":"JJ",` +
		`"created_at":1497508660,"bs":1,"p":101.325,"SSID":"home","BSSID":"0:1:2:3:4:5","inregions":["Home","Garage"]}`
)

// From the MQTT manual of the Greenwich tracker,
// https://github.com/owntracks/owntracks-gw (manual/mqtt.md): numbers in quotes.
const greenwich = `{"_type":"location","vel":"46.5315","tst":"1408810440","tid":"V7","cog":"283.35","dist":"569",` +
	`"trip":"8441","lat":"48.858334","lon":"2.295134","alt":"38.0","t":"t"}`

// From https://owntracks.org/booklet/images/OwnTracksPosterA1.pdf.
const transition = `{"_type":"transition","wtst":1425042603,"lat":12.34,"lon":44.5,"tst":1427634603,"acc":130,` +
	`"tid":"JP","event":"enter","desc":"my Indian restaurant","t":"b"}`

// A message sealed by libsodium, not by us: a test vector of Home Assistant's
// OwnTracks integration, with its key.
const (
	sealedKey = "s3cretkey"
	sealed    = `{"_type": "encrypted", "data": "qm1A83I6TVFRmH5343xy+cbex8jBBxDFkHRuJhELVKVRA/DgXcyKtghw` +
		`9pOw75Lo4gHcyy2wV5CmkjrpKEBR7Qhye4AR0y7hOvlx6U/a3GuY1+W8I4smrLkwMvGgBOzXSNdVTzbFTHDvG3gRRaNHFkt2` +
		`+5MsbH2Dd6CXmpzqDIfSN7QzwOevuvNIElii5MlFxI6ZnYIDYA/ZdnAXHEVsNIbyT2N0CXt3fTPzgGtFzsufx40EEUkC06J7` +
		`QTJl7lLG6qaLW1cCWp86Vp0eL3vtZ6xq"}`
)

func at(t fleet.Millis, lat, lon float64, change func(*fleet.Point)) []fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatOwnTracks
	if change != nil {
		change(&p)
	}
	return []fleet.Point{p}
}

func TestParse(t *testing.T) {
	t.Parallel()
	formattest.Run(t, owntracks.Parse, []formattest.Case{
		{Name: "booklet", In: booklet, Want: at(1497476456000, 48.85833, 2.29513, nil)},
		{Name: "location", In: location, Want: at(1497508651000, 48.85833, 2.29513, func(p *fleet.Point) {
			p.Sent = 1497508660000
			p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 5, 15, 271, 167, 0.41
		})},
		{Name: "greenwich", In: greenwich, Want: at(1408810440000, 48.858334, 2.295134, func(p *fleet.Point) {
			p.Speed, p.Heading, p.Altitude = 46.5315/3.6, 283.35, 38
		})},
		{Name: "transition", In: transition, Want: at(1427634603000, 12.34, 44.5, func(p *fleet.Point) { p.Accuracy = 130 })},
		{Name: "invalid measurements of iOS", In: `{"_type":"location","tst":1,"lat":1,"lon":2,"acc":-1,"vel":-1,"cog":-1,"batt":-1}`,
			Want: at(1000, 1, 2, nil)},
		{Name: "transition of a beacon", In: `{"_type":"transition","wtst":1,"tst":2,"event":"leave","acc":0}`, NoPosition: true},
		{Name: "lwt", In: `{"_type":"lwt","tst":1424872844}`, NoPosition: true},
		{Name: "waypoint is no position of the device", In: `{"_type":"waypoint","desc":"Home","lat":51.5,"lon":-0.1,"rad":20,"tst":1}`, NoPosition: true},
		{Name: "waypoints", In: `{"_type":"waypoints","waypoints":[{"_type":"waypoint","desc":"x"}]}`, NoPosition: true},
		{Name: "cmd", In: `{"_type":"cmd","action":"reportLocation","lat":"far"}`, NoPosition: true},
		{Name: "status", In: `{"_type":"status","iOS":{"version":"17"}}`, NoPosition: true},
		{Name: "configuration", In: `{"_type":"configuration","tst":"never"}`, NoPosition: true},
		{Name: "a type to come", In: `{"_type":"` + strings.Repeat("x", 2000) + `"}`, NoPosition: true},

		{Name: "encrypted", In: sealed, Err: []string{"encrypted"}},
		{Name: "no type", In: `{"lat":1,"lon":2,"tst":3}`, Err: []string{"_type is missing"}},
		{Name: "no time", In: `{"_type":"location","lat":1,"lon":2}`, Err: []string{"tst is missing"}},
		{Name: "no lon", In: `{"_type":"location","lat":1,"tst":2}`, Err: []string{"lon is missing"}},
		{Name: "bad lat", In: `{"_type":"location","lat":"up","lon":1,"tst":2}`, Err: []string{`lat: "up"`}},
		{Name: "half a transition", In: `{"_type":"transition","lat":1,"tst":2}`, Err: []string{"lon is missing"}},
		{Name: "array", In: `[` + booklet + `]`, Err: []string{"an array where an object is wanted"}},
		{Name: "cut short", In: location[:80], Err: []string{"invalid JSON"}},
	})
}

func TestParseOfEncryptedIsTyped(t *testing.T) {
	t.Parallel()
	if _, err := owntracks.Parse(nil, []byte(sealed)); !errors.Is(err, owntracks.ErrEncrypted) {
		t.Fatalf("%v, want ErrEncrypted", err)
	}
}

func TestDecrypt(t *testing.T) {
	t.Parallel()
	message, err := owntracks.Decrypt([]byte(sealedKey), []byte(sealed))
	if err != nil {
		t.Fatal(err)
	}
	got, err := owntracks.Parse(nil, message)
	if err != nil {
		t.Fatal(err)
	}
	formattest.Equal(t, got, at(1000, 2, 1, func(p *fleet.Point) {
		p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 60, 0, 248, 27, 0.92
	}))
}

// seal does what the app does with its encryption key.
func seal(t testing.TB, key string, message []byte) string {
	t.Helper()
	var padded [32]byte
	copy(padded[:], key)
	var nonce [24]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		t.Fatal(err)
	}
	box := secretbox.Seal(nonce[:], message, &nonce, &padded)
	return fmt.Sprintf(`{"data":%q,"_type":"encrypted"}`, base64.StdEncoding.EncodeToString(box))
}

func TestDecryptTakesEveryLengthOfKey(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 32; n++ {
		key := strings.Repeat("k", n)
		got, err := owntracks.Decrypt([]byte(key), []byte(seal(t, key, []byte(booklet))))
		if err != nil || !bytes.Equal(got, []byte(booklet)) {
			t.Errorf("with a key of %d bytes: %q, %v", n, got, err)
		}
	}
}

func TestDecryptErrors(t *testing.T) {
	t.Parallel()
	damaged := []byte(seal(t, "key", []byte(booklet)))
	i := bytes.IndexByte(damaged, ':') + 60
	damaged[i] = 'A' + (damaged[i]-'A'+1)%26
	for name, c := range map[string]struct{ key, in, want string }{
		"no key":        {"", sealed, "1 to 32 bytes"},
		"long key":      {strings.Repeat("k", 33), sealed, "1 to 32 bytes"},
		"another key":   {"S3cretkey", sealed, "another key"},
		"damaged":       {"key", string(damaged), "another key, or damaged"},
		"not encrypted": {"key", booklet, "not of type encrypted"},
		"no data":       {"key", `{"_type":"encrypted"}`, "data is missing"},
		"not base64":    {"key", `{"_type":"encrypted","data":"%%%"}`, "not base64"},
		"short":         {"key", `{"_type":"encrypted","data":"AAAA"}`, "too short"},
		"not JSON":      {"key", `encrypted`, "invalid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message, err := owntracks.Decrypt([]byte(c.key), []byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) || message != nil {
				t.Errorf("%q, %v; want an error with %q", message, err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, owntracks.Parse, booklet, location, greenwich, transition, sealed, `{"_type":"lwt","tst":1}`, `{"_type":1}`)
}

func FuzzDecrypt(f *testing.F) {
	f.Add([]byte(sealedKey), []byte(sealed))
	f.Add([]byte("k"), []byte(`{"_type":"encrypted","data":""}`))
	f.Fuzz(func(t *testing.T, key, payload []byte) {
		if message, err := owntracks.Decrypt(key, payload); err != nil && message != nil {
			t.Fatalf("both %q and %v", message, err)
		}
	})
}

func BenchmarkParse(b *testing.B) { formattest.Bench(b, owntracks.Parse, []byte(location)) }

func BenchmarkDecrypt(b *testing.B) {
	payload := []byte(seal(b, sealedKey, []byte(location)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := owntracks.Decrypt([]byte(sealedKey), payload); err != nil {
			b.Fatal(err)
		}
	}
}
