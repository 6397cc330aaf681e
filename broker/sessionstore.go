package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// restore loads the stored sessions into mochi. Those that have expired
// meanwhile are deleted.
func (s *sessions) restore(ctx context.Context) error {
	stored, err := s.b.cfg.Sessions.Load(ctx)
	if err != nil {
		return err
	}
	now := s.b.clock.Now()
	for _, f := range stored {
		away := !f.Disconnected.IsZero()
		if !away {
			f.Disconnected = now // it was connected when the hub went down
		}
		if !now.Before(f.Disconnected.Add(f.Expiry)) || !strings.HasPrefix(f.ClientID, f.Device.String()+"/") {
			if err := s.b.cfg.Sessions.Delete(ctx, f.ClientID); err != nil {
				return err
			}
			continue
		}
		s.add(&session{
			key: f.ClientID, device: f.Device, version: f.Version, expiry: f.Expiry,
			disconnected: f.Disconnected, away: away, stored: true, subscriptions: f.Subscriptions,
		})
		s.b.restoreClient(f)
	}
	return nil
}

// restoreClient makes mochi's half of a restored session, as its StoredClients
// would.
func (b *Broker) restoreClient(f fleet.Session) {
	cl := b.server.NewClient(nil, "", f.ClientID, false)
	cl.Properties.ProtocolVersion = f.Version
	if f.Version == 5 {
		cl.Properties.Props.SessionExpiryInterval = uint32(f.Expiry.Seconds())
		cl.Properties.Props.SessionExpiryIntervalFlag = true
	}
	cl.Stop(packets.ErrServerShuttingDown)
	for _, sub := range f.Subscriptions {
		p := packets.Subscription{
			Filter: sub.Filter, Qos: sub.QoS, NoLocal: sub.NoLocal,
			RetainAsPublished: sub.RetainAsPublished, RetainHandling: sub.RetainHandling, Identifier: sub.Identifier,
		}
		b.server.Topics.Subscribe(cl.ID, p)
		cl.State.Subscriptions.Add(p.Filter, p)
	}
	b.server.Clients.Add(cl)
}

// store has a session written, and waits for that unless the store is away or
// takes too long.
func (s *sessions) store(n *session) {
	s.mu.Lock()
	n.stored = true
	s.mu.Unlock()
	done := s.saves.add(n.key)
	if s.saves.failing.Load() {
		return
	}
	timeout := time.NewTimer(s.b.limits.StoreTimeout)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
	case <-s.b.reading.Done():
	}
}

// save writes what the store should have about the session with this key: the
// newest state, whatever it was when the key was queued.
func (s *sessions) save(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.b.limits.StoreTimeout)
	defer cancel()
	f, keep := s.snapshot(key)
	var err error
	if keep {
		err = s.b.cfg.Sessions.Save(ctx, f)
	} else {
		err = s.b.cfg.Sessions.Delete(ctx, key)
	}
	switch {
	case err == nil:
		s.b.metrics.saves.Inc()
		return nil
	case isAway(err):
		s.b.metrics.storeErrors.WithLabelValues("session").Inc()
		s.b.log.Warn("MQTT session not stored, trying again", "session", key, "error", err)
		return fmt.Errorf("store session %s: %w", key, err)
	default: // the store will not have it, however often it is asked
		s.b.metrics.storeErrors.WithLabelValues("session").Inc()
		s.b.log.Error("MQTT session refused by the store", "session", key, "error", err)
		return nil
	}
}

func (s *sessions) snapshot(key string) (f fleet.Session, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byKey[key]
	if n == nil || n.expiry == 0 {
		return f, false
	}
	f = fleet.Session{
		ClientID: n.key, Device: n.device, Version: n.version, Expiry: n.expiry,
		Subscriptions: slices.Clone(n.subscriptions),
	}
	if n.away {
		f.Disconnected = n.disconnected
	}
	return f, true
}

// isAway reports whether a call to the store failed because the store is away,
// as opposed to having refused it: only then trying again helps.
func isAway(err error) bool {
	return fleet.CodeOf(err) == fleet.CodeUnavailable ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// subscriptionsOf returns mochi's subscriptions of a client, in order of
// filter so that they can be compared.
func subscriptionsOf(cl *mqtt.Client) []fleet.Subscription {
	var subs []fleet.Subscription
	for _, sub := range cl.State.Subscriptions.GetAll() {
		subs = append(subs, fleet.Subscription{
			Filter: sub.Filter, QoS: sub.Qos, NoLocal: sub.NoLocal,
			RetainAsPublished: sub.RetainAsPublished, RetainHandling: sub.RetainHandling, Identifier: sub.Identifier,
		})
	}
	slices.SortFunc(subs, func(a, b fleet.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	return subs
}
