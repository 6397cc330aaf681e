package flespi_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"armora/fleet"
	"armora/ingest/format/flespi"
	"armora/ingest/format/formattest"
	"armora/ingest/format/report"
)

// The example of https://flespi.com/kb/messages-basic-information-units, with
// the timestamps that the page's format asks for.
const example = `{"battery.voltage":3.938,"channel.id":429,"device.id":182083,"device.name":"Vehicle","device.type.id":744,` +
	`"engine.ignition.status":false,"event.priority.enum":0,"external.powersource.voltage":12.64,"gnss.state.enum":1,` +
	`"gnss.status":true,"gsm.cellid":11511,"gsm.lac":108,"gsm.mcc":257,"gsm.mnc":1,"gsm.operator.code":"25701",` +
	`"gsm.signal.level":80,"ident":"111115555599999","movement.status":false,"peer":"","position.altitude":244,` +
	`"position.direction":281,"position.hdop":0.3,"position.latitude":43.955218,"position.longitude":37.661918,` +
	`"position.satellites":15,"position.speed":0,"position.valid":true,"protocol.id":14,` +
	`"server.timestamp":1706905171.17258,"timestamp":1706905170.17258}`

// A message without a position, from
// https://github.com/leonardoAB1/Flespi-Integration-Scripts.
const noPosition = `{"battery.charging.status":false,"battery.level":70,"battery.voltage":4.09,"channel.id":1190401,` +
	`"device.id":5539228,"device.name":"scooterMobi010","ident":"015136001986400","lock.status":true,"message.type":"H0",` +
	`"protocol.id":200,"server.timestamp":1706905170.17258,"timestamp":1706905170.17258,"vendor.code":"OM"}`

func message(ident string, second int, rest string) string {
	return fmt.Sprintf(`{"ident":%q,"timestamp":%d,"position.latitude":1,"position.longitude":2%s}`, ident, second, rest)
}

func point(t fleet.Millis, lat, lon float64) fleet.Point {
	p := fleet.NewPoint(t, lat, lon)
	p.Format = fleet.FormatFlespi
	return p
}

func examplePoint() fleet.Point {
	p := point(1706905170172, 43.955218, 37.661918)
	p.Speed, p.Heading, p.Altitude = 0, 281, 244
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	driving := point(5000, 1, 2)
	driving.Speed, driving.Battery = 20, 0.7
	formattest.Run(t, flespi.Parse, []formattest.Case{
		{Name: "documented", In: example, Want: []fleet.Point{examplePoint()}},
		{Name: "array", In: `[` + example + `]`, Want: []fleet.Point{examplePoint()}},
		{Name: "units", In: message("a", 5, `,"position.speed":72,"battery.level":70`), Want: []fleet.Point{driving}},
		{Name: "without ident", In: `{"timestamp":5,"position.latitude":1,"position.longitude":2}`, Want: []fleet.Point{point(5000, 1, 2)}},
		{Name: "some without position", In: `[` + noPosition + `,` + message("015136001986400", 5, "") + `]`, Want: []fleet.Point{point(5000, 1, 2)}},
		{Name: "bad measurements are unknown", In: message("a", 5, `,"position.speed":-1,"position.direction":"n","battery.level":300,"position.valid":7`),
			Want: []fleet.Point{point(5000, 1, 2)}},
		{Name: "no position", In: noPosition, NoPosition: true},
		{Name: "null position", In: `{"timestamp":5,"position.latitude":null,"position.longitude":null}`, NoPosition: true},
		{Name: "not valid", In: message("a", 5, `,"position.valid":false`), NoPosition: true},
		{Name: "empty", In: `[]`, NoPosition: true},

		{Name: "two idents", In: `[` + message("a", 5, "") + `,` + message("b", 6, "") + `]`, Err: []string{"record 1", `ident "b" after "a"`, "gateway"}},
		{Name: "no time", In: `{"position.latitude":1,"position.longitude":2}`, Err: []string{"timestamp is missing"}},
		{Name: "no longitude", In: `{"timestamp":1,"position.latitude":1}`, Err: []string{"position.longitude is missing"}},
		{Name: "bad latitude", In: `{"timestamp":1,"position.latitude":"x","position.longitude":2}`, Err: []string{`position.latitude: "x"`}},
		{Name: "latitude out of range", In: `{"timestamp":1,"position.latitude":100,"position.longitude":2}`, Err: []string{"lat 100"}},
		{Name: "not JSON", In: `ident=1`, Err: []string{"invalid JSON"}},
	})
}

func TestParseGateway(t *testing.T) {
	t.Parallel()
	children, err := flespi.ParseGateway([]byte(`[` + strings.Join([]string{
		message("b", 1, ""), message("a", 2, ""), noPosition, message("b", 3, ""),
	}, ",") + `]`))
	if err != nil {
		t.Fatal(err)
	}
	if len(children) != 2 || children[0].Name != "b" || children[1].Name != "a" {
		t.Fatalf("children %+v, want b and a", children)
	}
	formattest.Equal(t, children[0].Points, []fleet.Point{point(1000, 1, 2), point(3000, 1, 2)})
	formattest.Equal(t, children[1].Points, []fleet.Point{point(2000, 1, 2)})
}

func TestParseGatewayErrors(t *testing.T) {
	t.Parallel()
	if _, err := flespi.ParseGateway([]byte(noPosition)); !errors.Is(err, report.ErrNoPosition) {
		t.Errorf("%v, want ErrNoPosition", err)
	}
	_, err := flespi.ParseGateway([]byte(`[` + message("a", 1, "") + `,{"timestamp":5,"position.latitude":1,"position.longitude":2}]`))
	if err == nil || !strings.Contains(err.Error(), "record 1: ident is missing") {
		t.Errorf("%v, want the missing ident named", err)
	}
	if children, err := flespi.ParseGateway([]byte(`[` + message("a", 1, "") + `,{]`)); err == nil || children != nil {
		t.Errorf("%v, %v; want nothing but an error", children, err)
	}
}

// gatewayAsParse lets the contract of Parse hold ParseGateway too.
func gatewayAsParse(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	children, err := flespi.ParseGateway(payload)
	for _, c := range children {
		dst = append(dst, c.Points...)
	}
	return dst, err
}

func FuzzParse(f *testing.F) {
	formattest.Fuzz(f, flespi.Parse, example, noPosition, `[`+example+`,`+noPosition+`]`, `[{},{"ident":"a"}]`)
}

func FuzzParseGateway(f *testing.F) {
	formattest.Fuzz(f, gatewayAsParse, example, `[`+message("a", 1, "")+`,`+message("b", 1, "")+`]`, `[{"ident":"\u0061"}]`)
}

func BenchmarkParse(b *testing.B) {
	batch := `[` + strings.TrimSuffix(strings.Repeat(example+",", 10), ",") + `]`
	b.Run("Parse", func(b *testing.B) { formattest.Bench(b, flespi.Parse, []byte(batch)) })
	b.Run("ParseGateway", func(b *testing.B) { formattest.Bench(b, gatewayAsParse, []byte(batch)) })
}
