package account

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	qrcode "github.com/skip2/go-qrcode"

	"armora/fleet"
)

// OwnTracks is how an OwnTracks app is set up for the hub. All of it holds the
// device's secret.
type OwnTracks struct {
	Config json.RawMessage // an .otrc file
	URL    string          // opens the app with the same
	QR     []byte          // the URL as a PNG
}

// ownTracksConfig is the configuration message of the app
// (https://owntracks.org/booklet/tech/json, _type=configuration), as far as the
// hub has a say in it.
type ownTracksConfig struct {
	Type          string `json:"_type"`
	Mode          int    `json:"mode"` // 0: MQTT
	Host          string `json:"host"`
	Port          int    `json:"port"`
	TLS           bool   `json:"tls"`
	WebSocket     bool   `json:"ws"`
	Auth          bool   `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	EncryptionKey string `json:"encryptionKey,omitempty"`
	DeviceID      string `json:"deviceId"`
	ClientID      string `json:"clientId"`
	Tracker       string `json:"tid"` // two letters on a map
	Topic         string `json:"pubTopicBase"`
	PublishQoS    int    `json:"pubQos"`
	Retain        bool   `json:"pubRetain"`
	Clean         bool   `json:"cleanSession"`
	Protocol      int    `json:"mqttProtocolLevel"` // 4: MQTT 3.1.1
	Subscribe     bool   `json:"sub"`               // to what others publish, which the hub refuses
	Commands      bool   `json:"cmd"`
	Remote        bool   `json:"remoteConfiguration"`
}

// SetUpOwnTracks gives a device one more secret, as Rotate does, in the form that
// the OwnTracks app imports. server is the hub's public MQTT address. The secret
// is told this once.
func (d *Devices) SetUpOwnTracks(ctx context.Context, id fleet.DeviceID, server string) (OwnTracks, error) {
	device, err := d.devices.Get(ctx, id)
	if err != nil {
		return OwnTracks{}, err
	}
	if device.Format != fleet.FormatOwnTracks {
		return OwnTracks{}, invalid("the device speaks %v, not owntracks", device.Format)
	}
	config, err := ownTracksFor(id, server)
	if err != nil {
		return OwnTracks{}, err
	}
	key, err := d.PayloadKey(ctx, id)
	if err != nil && fleet.CodeOf(err) != fleet.CodeNotFound {
		return OwnTracks{}, err
	}
	config.EncryptionKey = string(key)
	if _, config.Password, err = d.Rotate(ctx, id); err != nil {
		return OwnTracks{}, err
	}
	return config.pack()
}

// ownTracksFor is the configuration of a device, without its secrets.
func ownTracksFor(device fleet.DeviceID, server string) (ownTracksConfig, error) {
	at, err := url.Parse(server)
	if err != nil || at.Hostname() == "" {
		return ownTracksConfig{}, errors.New("the public MQTT address is not a URL with a host")
	}
	c := ownTracksConfig{
		Type: "configuration", Host: at.Hostname(), Port: 1883, TLS: at.Scheme == "mqtts", Auth: true,
		Username: device.String(), DeviceID: "phone", ClientID: device.String(), Tracker: device.String()[34:],
		Topic: "owntracks/" + device.String() + "/phone", PublishQoS: 1, Protocol: 4,
	}
	if c.TLS {
		c.Port = 8883
	}
	if port := at.Port(); port != "" {
		if c.Port, err = strconv.Atoi(port); err != nil {
			return c, fmt.Errorf("the public MQTT address has port %q: %w", port, err)
		}
	}
	return c, nil
}

// pack writes the configuration in all its forms.
func (c *ownTracksConfig) pack() (OwnTracks, error) {
	file, err := json.Marshal(c)
	if err != nil {
		return OwnTracks{}, err
	}
	o := OwnTracks{
		Config: file,
		URL:    "owntracks:///config?inline=" + url.QueryEscape(base64.StdEncoding.EncodeToString(file)),
	}
	const pixels = 768 // a code of this length has some 120 modules a side
	o.QR, err = qrcode.Encode(o.URL, qrcode.Low, pixels)
	return o, err
}
