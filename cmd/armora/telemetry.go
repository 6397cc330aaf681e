package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/broker"
	"armora/bus"
	"armora/fleet"
	"armora/ingest"
	"armora/ingest/fences"
	"armora/live"
	"armora/live/fence"
	"armora/safety"
	"armora/schema"
)

// openMap makes the live map and the fences that watch it.
func (h *hub) openMap(ctx, _ context.Context) error {
	h.index = live.New(live.Options{})
	var err error
	h.fences, err = fences.New(fences.Config{
		Set: fence.NewSet(), Store: schema.Fences{DB: h.db}, Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	if err := h.fences.Open(ctx); err != nil {
		return err
	}
	h.onClose("fences", h.fences.Close)
	return h.registry.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "armora_live_units", Help: "Units on the live map."},
		func() float64 { return float64(h.index.Len()) }))
}

// openAlarms watches for dangers on trips. It is there before the first fix is.
func (h *hub) openAlarms(context.Context, context.Context) error {
	h.alarms = safety.NewAlarms(safety.AlarmsConfig{DB: h.db, Bus: &h.bus, Tell: h.notify.Telling, Clock: h.clock, Log: h.log})
	h.alarms.Open()
	h.onClose("alarms", func(context.Context) error {
		h.alarms.Close()
		return nil
	})
	return nil
}

// move shows good fixes on the map and, if a unit moved by one, to the fences. It is
// called by one goroutine at a time.
func (h *hub) move(moves []ingest.Move) {
	h.fixes, h.shown = h.fixes[:0], h.shown[:0]
	for i := range moves {
		m, p := &moves[i], &moves[i].Point
		h.fixes = append(h.fixes, live.Fix{
			Unit: m.Unit, Source: p.Device, At: m.At, Received: p.Received, Lat: p.Lat, Lon: p.Lon,
			Accuracy: p.Accuracy, Speed: p.Speed, Heading: p.Heading, Battery: p.Battery,
		})
	}
	h.shown = h.index.ApplyAll(h.fixes, h.shown)
	for i := range moves {
		m := &moves[i]
		if h.shown[i] {
			h.fences.Observe(m.Unit, m.At, &m.Point)
		}
		h.alarms.Observe(m.Unit, m.At, &m.Point) // also of a device that does not lead
	}
}

// openIngest makes the way of a point, from the broker's hand to the database
// and the live map, and loads the map with where everybody was last.
func (h *hub) openIngest(ctx, _ context.Context) error {
	points, letters := schema.NewPoints(h.db), schema.DeadLetters{DB: h.db}
	var err error
	h.pipeline, err = ingest.New(ingest.Config{
		Store: points, DeadLetters: letters,
		PayloadKeys: h.devices, Auth: h.devices.HTTP(),
		Move: h.move, Keep: h.keep, Thresholds: h.thresholds(),
		Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.notices, err = ingest.NewNotices(ingest.NoticesConfig{
		Statuses: schema.Devices{DB: h.db}, Events: schema.Events{DB: h.db}, Duties: h.officers, DeadLetters: letters,
		Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	units, err := (schema.Devices{DB: h.db}).Units(ctx)
	if err != nil {
		return err
	}
	since := fleet.MillisOf(h.clock.Now().Add(-h.settings.KeepPoints))
	latest, err := h.lastSeen(ctx, points)
	if err != nil {
		return err
	}
	err = h.pipeline.Restore(ctx, since, latest, func(id fleet.DeviceID) fleet.Unit { return units[id] })
	if err != nil {
		return err
	}
	h.pipeline.Open()
	h.notices.Open()
	h.onClose("ingest", func(context.Context) error {
		h.pipeline.Close()
		h.notices.Close()
		return nil
	})
	return nil
}

// thresholds are the default ones, with the hub's own retention.
func (h *hub) thresholds() ingest.Thresholds {
	t := ingest.DefaultThresholds()
	t.Retention, t.StaleLimit = h.settings.KeepPoints, min(h.settings.KeepPhone, h.settings.KeepPoints)
	return t
}

// openBroker opens MQTT. Each topic's messages go to one receiver; what is on
// no route may not be published.
func (h *hub) openBroker(ctx, _ context.Context) error {
	tlsConfig, err := h.settings.tls()
	if err != nil {
		return err
	}
	h.broker, err = broker.New(broker.Config{
		TCPAddr: listenOn(h.settings.MQTTAddr), TLSAddr: listenOn(h.settings.MQTTTLSAddr), WSAddr: listenOn(h.settings.MQTTWSAddr),
		AllowPlaintext: h.settings.AllowPlaintext, TLS: tlsConfig,
		Auth: h.devices, Sessions: schema.Sessions{DB: h.db}, Outbox: schema.Outbox{DB: h.db, Clock: h.clock},
		Trips:  h.followers,
		Routes: h.routes(),
		Clock:  h.clock, Log: h.log, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	endRevoked := h.bus.Revocations.Subscribe(func(r bus.Revocation) { h.broker.Disconnect(r.Device, r.Credential) })
	endSession := h.bus.Sessions.Subscribe(h.broker.EndSession)
	wakeDevice := h.bus.Commands.Subscribe(h.broker.Wake)
	h.onClose("MQTT", func(ctx context.Context) error {
		endRevoked()
		endSession()
		wakeDevice()
		return h.closeBroker(ctx)
	})
	if err := h.broker.Open(ctx); err != nil {
		return fmt.Errorf("%w (see --mqtt-addr, --mqtt-tls-addr, --mqtt-ws-addr and --allow-plaintext)", err)
	}
	return nil
}

// routes say who takes what devices publish. docs/mqtt.md is their description.
func (h *hub) routes() []broker.Route {
	points, ignored := receiver(h.pipeline.Receive), receiver(ignore)
	return []broker.Route{
		{Template: "v1/devices/{device}/points", Receiver: points},
		{Template: "v1/devices/{device}/status", Receiver: receiver(h.notices.Status)},
		{Template: "v1/devices/{device}/events", Receiver: receiver(h.event), Urgent: true},
		{Template: "v1/drivers/{driver}/duty", Receiver: receiver(h.notices.Duty)},

		{Template: "v1/drivers/{driver}/replies", Receiver: receiver(h.reply)},
		{Template: "v1/trips/{trip}/chat/send", Receiver: receiver(h.say)},

		{Template: "owntracks/{device}/+", Receiver: points},
		{Template: "owntracks/{device}/+/+", Receiver: points}, // transitions come on …/event
		{Template: "{external}/data", Receiver: points},        // Teltonika
		{Template: "flespi/message/gw/devices/+", Receiver: points},

		{Template: "v1/devices/me/telemetry", Receiver: points}, // ThingsBoard
		{Template: "v1/gateway/telemetry", Receiver: points},
		// A ThingsBoard client publishes these as a matter of course, and an
		// MQTT 3 connection would not survive a refusal.
		{Template: "v1/devices/me/attributes", Receiver: ignored},
		{Template: "v1/gateway/attributes", Receiver: ignored},
		{Template: "v1/gateway/connect", Receiver: ignored},
		{Template: "v1/gateway/disconnect", Receiver: ignored},
	}
}

// ignore acknowledges what the hub has no use for.
func ignore(m ingest.Message) {
	m.Ack.Resolve(nil)
	m.Ack.Flush()
}

// closeBroker commits and acknowledges what was read before it says goodbye.
func (h *hub) closeBroker(ctx context.Context) error {
	// Half of the time that is left: a database that is away must not keep the
	// goodbyes from being said.
	draining := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		draining, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	err := h.broker.StopReading(draining)
	for _, drain := range []func(context.Context) error{h.pipeline.Drain, h.notices.Drain} {
		if failed := drain(draining); failed != nil {
			h.log.Warn("stopped before everything received was committed; its senders will send it again", "error", failed)
		}
	}
	return errors.Join(err, h.broker.Close(ctx))
}

// receiver hands the messages of a route to ingest.
type receiver func(ingest.Message)

// Receive implements broker.Receiver.
func (r receiver) Receive(m broker.Message) {
	r(ingest.Message{From: m.From, Topic: m.Topic, Payload: m.Payload, Received: m.Received, Ack: m.Ack})
}
