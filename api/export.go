package api

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"

	"armora/fleet"
)

// export is a format in which a range of points leaves in one stream.
type export struct {
	mediaType, extension string
	open                 func(io.Writer, *fleet.Device) exporter
}

// exporter writes points one by one; the first may be preceded by a head. No
// point may follow end.
type exporter interface {
	point(fleet.Point) error
	end() error
}

func exportOf(format string) export {
	switch format {
	case "geojson":
		return export{mediaType: "application/geo+json", extension: "geojson", open: openGeoJSON}
	case "gpx":
		return export{mediaType: "application/gpx+xml", extension: "gpx", open: openGPX}
	default:
		return export{mediaType: "text/csv; charset=utf-8; header=present", extension: "csv", open: openCSV}
	}
}

// csvExport writes RFC 4180 with one head line. An absent measurement is empty.
type csvExport struct {
	w    *csv.Writer
	line []string
	head bool
}

func openCSV(w io.Writer, _ *fleet.Device) exporter { return &csvExport{w: csv.NewWriter(w)} }

func (e *csvExport) begin() error {
	if e.head {
		return nil
	}
	e.head = true
	return e.w.Write([]string{"time", "lat", "lon", "accuracy_m", "speed_mps", "heading_deg", "altitude_m", "battery",
		"format", "verdict", "flags", "received_at", "sent_at"})
}

func (e *csvExport) point(p fleet.Point) error {
	if err := e.begin(); err != nil {
		return err
	}
	sent := ""
	if p.Sent != 0 {
		sent = stamp(p.Sent)
	}
	e.line = append(e.line[:0], stamp(p.Fix), degrees(p.Lat), degrees(p.Lon),
		measured(p.Accuracy), measured(p.Speed), measured(p.Heading), measured(p.Altitude), measured(p.Battery),
		p.Format.String(), p.Verdict.String(), strings.Join(p.Flags.Names(), " "), stamp(p.Received), sent)
	return e.w.Write(e.line)
}

func (e *csvExport) end() error {
	if err := e.begin(); err != nil {
		return err
	}
	e.w.Flush()
	return e.w.Error()
}

// geoJSONExport writes a FeatureCollection (RFC 7946) of points.
type geoJSONExport struct {
	w      io.Writer
	device fleet.DeviceID
	begun  bool
}

type feature struct {
	Type       string          `json:"type"`
	Geometry   featureGeometry `json:"geometry"`
	Properties featureDetails  `json:"properties"`
}

type featureGeometry struct {
	Type        string     `json:"type"`
	Coordinates [2]float64 `json:"coordinates"` // longitude first
}

type featureDetails struct {
	DeviceID fleet.DeviceID `json:"device_id"`
	Point
}

func openGeoJSON(w io.Writer, device *fleet.Device) exporter {
	return &geoJSONExport{w: w, device: device.ID}
}

func (e *geoJSONExport) separate() error {
	separator := ",\n"
	if !e.begun {
		e.begun = true
		separator = `{"type":"FeatureCollection","features":[` + "\n"
	}
	_, err := io.WriteString(e.w, separator)
	return err
}

func (e *geoJSONExport) point(p fleet.Point) error {
	line, err := json.Marshal(feature{
		Type:       "Feature",
		Geometry:   featureGeometry{Type: "Point", Coordinates: [2]float64{p.Lon, p.Lat}},
		Properties: featureDetails{DeviceID: e.device, Point: showPoint(p)},
	})
	if err != nil {
		return err
	}
	if err := e.separate(); err != nil {
		return err
	}
	_, err = e.w.Write(line)
	return err
}

func (e *geoJSONExport) end() error {
	if !e.begun {
		if err := e.separate(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(e.w, "\n]}\n")
	return err
}

// gpxExport writes one track of GPX 1.1, with the name of the device.
type gpxExport struct {
	w     *xml.Encoder
	out   io.Writer
	name  string
	begun bool
}

type trackPoint struct {
	XMLName xml.Name `xml:"trkpt"`
	Lat     string   `xml:"lat,attr"`
	Lon     string   `xml:"lon,attr"`
	Ele     string   `xml:"ele,omitempty"`
	Time    string   `xml:"time"`
}

func openGPX(w io.Writer, device *fleet.Device) exporter {
	return &gpxExport{w: xml.NewEncoder(w), out: w, name: device.Name}
}

func (e *gpxExport) begin() error {
	if e.begun {
		return nil
	}
	e.begun = true
	if _, err := io.WriteString(e.out, xml.Header); err != nil {
		return err
	}
	for _, token := range []xml.Token{
		xml.StartElement{Name: xml.Name{Local: "gpx"}, Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: "http://www.topografix.com/GPX/1/1"},
			{Name: xml.Name{Local: "version"}, Value: "1.1"},
			{Name: xml.Name{Local: "creator"}, Value: "ARMORA hub"},
		}},
		xml.StartElement{Name: xml.Name{Local: "trk"}},
		xml.StartElement{Name: xml.Name{Local: "name"}},
		xml.CharData(e.name),
		xml.EndElement{Name: xml.Name{Local: "name"}},
		xml.StartElement{Name: xml.Name{Local: "trkseg"}},
	} {
		if err := e.w.EncodeToken(token); err != nil {
			return err
		}
	}
	return nil
}

func (e *gpxExport) point(p fleet.Point) error {
	if err := e.begin(); err != nil {
		return err
	}
	return e.w.Encode(trackPoint{Lat: degrees(p.Lat), Lon: degrees(p.Lon), Ele: measured(p.Altitude), Time: stamp(p.Fix)})
}

func (e *gpxExport) end() error {
	if err := e.begin(); err != nil {
		return err
	}
	for _, name := range []string{"trkseg", "trk", "gpx"} {
		if err := e.w.EncodeToken(xml.EndElement{Name: xml.Name{Local: name}}); err != nil {
			return err
		}
	}
	return e.w.Flush()
}

func stamp(m fleet.Millis) string { return m.Time().Format(time.RFC3339Nano) }

// degrees has the resolution at which positions are stored.
func degrees(v float64) string { return strconv.FormatFloat(v, 'f', 7, 64) }

func measured(v float32) string {
	if !fleet.Known(v) {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'f', -1, 32)
}
