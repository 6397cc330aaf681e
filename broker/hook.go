package broker

import (
	"context"
	"errors"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// codeNotAuthorized is said to a connection whose credential is no longer good.
var codeNotAuthorized = packets.ErrNotAuthorized

// hook is the one hook of the engine. mochi ORs the answers of several
// authentication or access hooks, so there must never be a second.
type hook struct {
	mqtt.HookBase
	b *Broker
}

// ID implements mqtt.Hook.
func (h *hook) ID() string { return "armora" }

// Provides implements mqtt.Hook.
func (h *hook) Provides(event byte) bool {
	switch event {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck,
		mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnDisconnect,
		mqtt.OnSubscribed, mqtt.OnUnsubscribed, mqtt.OnPacketProcessed, mqtt.OnPacketEncode:
		return true
	}
	return false
}

// OnConnect checks everything about a CONNECT and answers the refused itself:
// what mochi answers knows only "bad user name or password".
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := cl.Net.Conn.(*conn)
	c.client = cl
	c.version = cl.Properties.ProtocolVersion
	mark := h.b.registry.checkStarts()
	defer h.b.registry.checkEnds()
	code, reason := h.b.admit(c, &pk, mark)
	if code == packets.CodeSuccess {
		return nil
	}
	h.b.metrics.refusals.WithLabelValues(reason).Inc()
	c.mu.Lock()
	c.reason = "refused"
	c.mu.Unlock()
	if err := h.b.server.SendConnack(cl, code, false, nil); err != nil {
		return errors.Join(code, err)
	}
	return code
}

// admit checks a CONNECT and prepares the connection for its session.
func (b *Broker) admit(c *conn, pk *packets.Packet, mark int) (code packets.Code, refused string) {
	switch {
	case b.isStopping():
		return packets.ErrServerUnavailable, "shutdown"
	case pk.Properties.AuthenticationMethod != "":
		return packets.ErrBadAuthenticationMethod, "authentication_method"
	case len(c.client.ID) > maxClientID:
		return packets.ErrClientIdentifierNotValid, "client_id"
	}
	identity, err := b.authenticate(c, pk)
	if err != nil {
		if fleet.CodeOf(err) == fleet.CodeUnauthenticated {
			b.log.Info("MQTT login refused", "user", string(pk.Connect.Username), "remote", c.peer, "error", err)
			return packets.ErrBadUsernameOrPassword, "bad_credentials"
		}
		b.log.Warn("MQTT login could not be checked", "user", string(pk.Connect.Username), "remote", c.peer, "error", err)
		return packets.ErrServerUnavailable, "unavailable"
	}
	c.identity = &identity
	c.maxUnacked = b.limits.InflightMessages
	if c.version == 5 {
		c.maxUnacked = int(b.limits.ReceiveMaximum)
	}
	b.keepAlive(c)
	b.wills.take(c)
	c.client.ID = sessionKey(identity.Device, c.client.ID)
	if code := b.sessions.prepare(c, b.expiryOf(c.client)); code != packets.CodeSuccess {
		return code, "too_many_sessions"
	}
	if !b.registry.join(c, mark) {
		return packets.ErrBadUsernameOrPassword, "bad_credentials"
	}
	return packets.CodeSuccess, ""
}

// authenticate asks who the client is: so many at a time, for so long.
func (b *Broker) authenticate(c *conn, pk *packets.Packet) (fleet.Identity, error) {
	ctx, cancel := context.WithTimeout(b.reading, b.limits.AuthTimeout)
	defer cancel()
	select {
	case b.auth <- struct{}{}:
		defer func() { <-b.auth }()
	case <-ctx.Done():
		return fleet.Identity{}, &fleet.Error{Code: fleet.CodeUnavailable, Message: "too many logins at once"}
	}
	return b.cfg.Auth.Authenticate(ctx, fleet.Login{
		ClientID:    c.client.ID,
		Username:    string(pk.Connect.Username),
		Password:    string(pk.Connect.Password),
		Certificate: c.cert,
		Remote:      c.raw.RemoteAddr().String(),
	})
}

// keepAlive brings the client's keep-alive within bounds. MQTT 5 clients are
// told; the others are held to it.
func (b *Broker) keepAlive(c *conn) {
	asked := time.Duration(c.client.State.Keepalive) * time.Second
	c.keepAlive = max(asked, b.limits.KeepAliveMin)
	if asked == 0 || asked > b.limits.KeepAliveMax {
		c.keepAlive = b.limits.KeepAliveMax
	}
	if c.keepAlive != asked {
		c.client.State.Keepalive = uint16(c.keepAlive / time.Second)
		c.client.State.ServerKeepalive = true
	}
}

// expiryOf is how long the session of a client outlives its connection.
func (b *Broker) expiryOf(cl *mqtt.Client) time.Duration {
	if cl.Properties.ProtocolVersion < 5 {
		if cl.Properties.Clean {
			return 0
		}
		return b.limits.SessionExpiry
	}
	return min(time.Duration(cl.Properties.Props.SessionExpiryInterval)*time.Second, b.limits.SessionExpiry)
}

// OnConnectAuthenticate lets in whom OnConnect has identified.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	return cl.Net.Conn.(*conn).identity != nil
}

// OnACLCheck answers for subscriptions only: no PUBLISH reaches mochi.
func (h *hook) OnACLCheck(cl *mqtt.Client, filter string, write bool) bool {
	c, ok := cl.Net.Conn.(*conn)
	if !ok || write {
		return false
	}
	allowed := h.b.acl.maySubscribe(c.identity, filter) || h.b.followers.mayFollow(c, filter)
	if !allowed {
		h.b.metrics.dropped.WithLabelValues("subscription").Inc()
		h.b.log.Info("MQTT subscription refused", "device", c.identity.Device, "filter", filter)
	}
	return allowed
}

// OnSessionEstablish runs before mochi looks for a session to resume. The
// session's lock is held from here until CONNACK is out.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	c := cl.Net.Conn.(*conn)
	c.unlock = h.b.sessions.lock(cl.ID)
	replaced := h.b.sessions.open(c, pk.Connect.Clean, h.b.expiryOf(cl))
	if replaced != nil {
		replaced.end(packets.ErrSessionTakenOver, "taken_over")
		h.b.wills.takenOver(replaced, pk.Connect.Clean)
	}
	h.b.wills.returned(cl.ID, pk.Connect.Clean)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.init(h.b.limits.OutboxWindow, cl.Properties.Props.ReceiveMaximum)
}

// OnSessionEstablished runs when CONNACK is out.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	c := cl.Net.Conn.(*conn)
	c.unlockSession()
	h.b.sessions.update(c)
	h.b.outbox.deliver(c)
	h.b.followers.update(c)
}

// OnSubscribed stores the new subscriptions before they are confirmed.
func (h *hook) OnSubscribed(cl *mqtt.Client, _ packets.Packet, _ []byte) {
	h.b.sessions.update(cl.Net.Conn.(*conn))
}

// OnUnsubscribed stores what is left. mochi also calls it, without a packet id,
// for sessions that end.
func (h *hook) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	if c, ok := cl.Net.Conn.(*conn); ok && pk.PacketID != 0 {
		h.b.sessions.update(c)
		h.b.followers.update(c)
	}
}

// OnPacketProcessed starts what a device has subscribed to once its SUBACK is out.
func (h *hook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, _ error) {
	if pk.FixedHeader.Type == packets.Subscribe {
		h.b.outbox.deliver(cl.Net.Conn.(*conn))
		asked := make([]string, len(pk.Filters))
		for i := range pk.Filters {
			asked[i] = pk.Filters[i].Filter
		}
		h.b.followers.update(cl.Net.Conn.(*conn), asked...)
	}
}

// OnPacketEncode completes CONNACK with what mochi does not say.
func (h *hook) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && pk.ReasonCode == 0 {
		pk.Properties.MaximumPacketSize = uint32(h.b.limits.PacketSize)
		pk.Properties.TopicAliasMaximum = topicAliases
		pk.Properties.WildcardSubAvailableFlag = true // and not available
		pk.Properties.SharedSubAvailableFlag = true
	}
	return pk
}

// OnDisconnect takes the session's lock, which is held until mochi has let go
// of the connection.
func (h *hook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	c := cl.Net.Conn.(*conn)
	c.unlock = h.b.sessions.lock(cl.ID)
}

// unlockSession releases the session's lock if this connection holds it.
func (c *conn) unlockSession() {
	if c.unlock != nil {
		c.unlock()
		c.unlock = nil
	}
}
