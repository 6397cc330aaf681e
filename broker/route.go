package broker

import (
	"fmt"
	"strings"

	"armora/fleet"
)

// Route sends what is published on the topics of one template to one receiver.
// The routes are the access control for publishing: what matches no route may
// not be published. The first match wins.
//
// A template is a topic in which a whole level may be a variable: {device} is
// the id of the device, {driver} that of whose phone it is, {external} its name in
// its own protocol, {child} the external name of any device that it may speak
// for as a gateway, {trip} the id of any trip, if the device is a person's phone
// (whose trip it is the receiver knows), and + any one level that is not empty.
type Route struct {
	Template string
	Receiver Receiver
	// Urgent messages are let through when others have used up the memory that all
	// share: nothing is counted of them but what their receiver weighs, which bounds
	// how many it keeps that it does not.
	Urgent bool
}

// subscribable lists what a device may subscribe to, as templates. A filter
// has to be one of these topics exactly: no wildcard and no $share group
// reaches further than they do. The topics of trips come on top: see followers.
func subscribable() []string {
	return []string{"v1/devices/{device}/commands", "v1/drivers/{driver}/offers"}
}

// commandTopic is where a device gets the commands of its outbox.
func commandTopic(device fleet.DeviceID) string {
	return "v1/devices/" + device.String() + "/commands"
}

// offersTopic is where the phones of an officer get what the outbox has for the
// officer.
func offersTopic(driver fleet.DriverID) string {
	return "v1/drivers/" + driver.String() + "/offers"
}

// acl is the compiled access control.
type acl struct {
	publish   []compiledRoute
	subscribe []template
}

type compiledRoute struct {
	template template
	receiver Receiver
	urgent   bool
}

func newACL(routes []Route) (acl, error) {
	var a acl
	seen := make(map[string]bool, len(routes))
	for _, r := range routes {
		t, err := compile(r.Template)
		switch {
		case err != nil:
			return a, err
		case r.Receiver == nil:
			return a, fmt.Errorf("route %q has no receiver", r.Template)
		case seen[r.Template]:
			return a, fmt.Errorf("route %q is there twice", r.Template)
		}
		seen[r.Template] = true
		a.publish = append(a.publish, compiledRoute{t, r.Receiver, r.Urgent})
	}
	for _, s := range subscribable() {
		t, err := compile(s)
		if err != nil {
			return a, err
		}
		a.subscribe = append(a.subscribe, t)
	}
	return a, nil
}

// destination is where what id publishes on topic goes; its receiver is nil if it may
// not.
func (a *acl) destination(id *fleet.Identity, topic string) destination {
	levels := strings.Split(topic, "/")
	for i := range a.publish {
		if r := &a.publish[i]; r.template.match(id, levels) {
			return destination{topic, r.receiver, r.urgent}
		}
	}
	return destination{topic: topic}
}

// maySubscribe reports whether id may subscribe to filter.
func (a *acl) maySubscribe(id *fleet.Identity, filter string) bool {
	levels := strings.Split(filter, "/")
	for _, t := range a.subscribe {
		if t.match(id, levels) {
			return true
		}
	}
	return false
}

// template is a route's topic, one element a level.
type template []string

func compile(s string) (template, error) {
	t := template(strings.Split(s, "/"))
	for _, level := range t {
		switch level {
		case "{device}", "{driver}", "{external}", "{child}", "{trip}", "+":
			continue
		}
		if level == "" || strings.ContainsAny(level, "{}+#") {
			return nil, fmt.Errorf("topic template %q: level %q is neither a name nor a known variable", s, level)
		}
	}
	return t, nil
}

func (t template) match(id *fleet.Identity, levels []string) bool {
	if len(levels) != len(t) {
		return false
	}
	for i, level := range levels {
		if level == "" || !matchLevel(id, t[i], level) {
			return false
		}
	}
	return true
}

// matchLevel compares one level, which is not empty: a variable that the
// identity does not have therefore matches nothing.
func matchLevel(id *fleet.Identity, want, level string) bool {
	switch want {
	case "+":
		return true
	case "{device}":
		return level == id.Device.String()
	case "{driver}": // a car's tracker does not speak for who drives the car
		return !id.Driver.IsZero() && id.Kind != fleet.Tracker && level == id.Driver.String()
	case "{trip}":
		trip, err := fleet.ParseID[fleet.Booking](level)
		return err == nil && trip.String() == level && isPersons(id)
	case "{external}":
		return level == id.External
	case "{child}":
		_, ok := id.Children[level]
		return ok
	default:
		return level == want
	}
}
