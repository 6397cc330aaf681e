package ingest

import (
	"errors"
	"fmt"

	"armora/fleet"
	"armora/ingest/format/report"
)

// Receive takes a message in. It runs in the goroutine of the connection that
// read it and never blocks: the ack is resolved after the commit.
func (p *Pipeline) Receive(m Message) {
	p.receive(&m, newReceipt(m.Ack, &p.count.acked))
}

func (p *Pipeline) receive(m *Message, r *receipt) {
	reports := reportsPool.Get().(*reports)
	defer reports.release()
	format := formatOf(m)
	err := p.decode(reports, format, m)
	if errors.Is(err, errKeyWanted) {
		p.keys.park(*m, r)
		return
	}
	p.take(r, format, m, reports, err)
}

// take deals with a message that has been decoded, or could not be.
func (p *Pipeline) take(r *receipt, format fleet.Format, m *Message, reports *reports, err error) {
	p.count.messages[format].Add(1)
	switch {
	case errors.Is(err, report.ErrNoPosition):
		p.count.empty.Add(1)
	case err != nil:
		p.bury(r, format, m, err)
	default:
		strangers := disown(m.From, reports)
		if over := r.ack.Weigh(reports.weight(m, strangers != nil)); over != nil {
			r.refuse(over)
			return
		}
		if strangers != nil {
			p.bury(r, format, m, strangers)
		}
		if len(reports.points) > 0 {
			p.accept(r, format, fleet.Child{Device: m.From.Device, Unit: m.From.Unit(), User: m.From.User}, m.Received, reports.points)
		}
		for i := range reports.children {
			c := &reports.children[i]
			p.accept(r, format, c.to, m.Received, c.Points)
		}
	}
	p.done(r)
}

// disown takes out of a message what its sender, a gateway, tells of devices
// that are not its own, and returns what is wrong with that, nil if nothing is.
// However many they are, the message becomes one dead letter.
func disown(gateway *fleet.Identity, r *reports) error {
	own, strangers, first := r.children[:0], 0, ""
	for _, c := range r.children {
		to, known := gateway.Children[c.Name]
		if !known && c.Name != "" && c.Name == gateway.External {
			to, known = fleet.Child{Device: gateway.Device, Unit: gateway.Unit(), User: gateway.User}, true
		}
		if known {
			c.to = to
			own = append(own, c)
			continue
		}
		if strangers++; strangers == 1 {
			first = c.Name
		}
	}
	r.children = own
	switch strangers {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("the gateway may not speak for %.100q: no device of that name is registered with it", first)
	default:
		return fmt.Errorf("the gateway may not speak for %.100q and %d others: no devices of these names are registered with it", first, strangers-1)
	}
}

// done lets go of a receipt. One that waits for nothing, since all that its
// message says is stored already, joins the open batch, so that a device that
// tells a whole backlog again gets its acks in few writes.
func (p *Pipeline) done(r *receipt) {
	if r.waiting.Load() == 1 && !r.dropped.Load() {
		if _, ok := p.queue.add(nil, nil, r); !ok {
			r.dropped.Store(true)
		}
	}
	r.release()
}

// bury makes a message a dead letter. It is acknowledged with the batch that
// stores it: sending it again would not help.
func (p *Pipeline) bury(r *receipt, format fleet.Format, m *Message, cause error) {
	letter := newLetter(m.From.Device, m.Topic, cause.Error(), m.Payload, m.Received)
	if _, ok := p.queue.add(nil, []fleet.DeadLetter{letter}, r); !ok {
		r.dropped.Store(true)
		return
	}
	p.count.letters[format].Add(1)
}

// maxText is how many bytes of a dead letter's topic and reason are kept.
const maxText = 1024

func newLetter(device fleet.DeviceID, topic, reason string, payload []byte, received fleet.Millis) fleet.DeadLetter {
	return fleet.DeadLetter{
		ID:       fleet.NewID[fleet.DeadLetter](),
		Device:   device,
		Topic:    topic[:min(len(topic), maxText)],
		Reason:   reason[:min(len(reason), maxText)],
		Payload:  payload,
		Received: received.Time(),
	}
}
