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
		if len(reports.points) > 0 {
			p.accept(r, format, m.From.Device, m.From.Unit(), m.Received, reports.points)
		}
		for i := range reports.children {
			p.acceptChild(r, format, m, &reports.children[i])
		}
	}
	p.done(r)
}

// acceptChild takes what a gateway tells of a device, if it may speak for it.
func (p *Pipeline) acceptChild(r *receipt, format fleet.Format, m *Message, c *child) {
	to, known := m.From.Children[c.Name]
	if !known && c.Name != "" && c.Name == m.From.External {
		to, known = fleet.Child{Device: m.From.Device, Unit: m.From.Unit()}, true
	}
	if !known {
		p.bury(r, format, m, fmt.Errorf("the gateway may not speak for %.100q: no device of that name is registered with it", c.Name))
		return
	}
	p.accept(r, format, to.Device, to.Unit, m.Received, c.Points)
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
