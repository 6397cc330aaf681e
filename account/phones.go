package account

import (
	"context"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// phoneTokenLife is how long the token of a phone is good that was enrolled by
// signing in. Its app fetches the next one before it connects.
const phoneTokenLife = 15 * time.Minute

// DevicePassword is a token that lets a device in, and until when it does.
type DevicePassword struct {
	Token   string
	Expires time.Time
}

// Enrolment is how a phone presents itself.
type Enrolment struct {
	Device   fleet.DeviceID // of a phone that the person enrolled before; zero for another
	Name     string
	Platform string
	App      string // its version
}

// Enrol binds a phone to whoever is signed in on it, and returns it with the
// token that lets it in. Another person's phone is CodeNotFound.
func (d *Devices) Enrol(ctx context.Context, caller *Caller, e Enrolment) (fleet.DeviceID, DevicePassword, error) {
	stored := schema.Enrolment{
		Device: e.Device, User: caller.User, Name: e.Name, Platform: e.Platform, App: e.App, At: d.clock.Now(),
	}
	var err error
	if e.Device.IsZero() {
		stored.Device = fleet.NewID[fleet.Device]()
		err = d.devices.Enrol(ctx, stored)
	} else {
		var was fleet.Unit
		var moved bool
		if was, moved, err = d.devices.EnrolAgain(ctx, stored); err == nil && moved {
			d.moved(stored.Device, was)
		}
	}
	if err != nil {
		return stored.Device, DevicePassword{}, err
	}
	token, err := d.PhoneToken(ctx, caller, stored.Device)
	return stored.Device, token, err
}

// PhoneToken makes the next token of a phone that the caller has enrolled. It is
// good while the caller's session lives. Another person's phone is CodeNotFound.
func (d *Devices) PhoneToken(ctx context.Context, caller *Caller, device fleet.DeviceID) (DevicePassword, error) {
	if _, err := d.devices.Own(ctx, device, caller.User); err != nil {
		return DevicePassword{}, err
	}
	token, expires, err := d.keys.mintPhone(device, caller.Session, phoneTokenLife)
	return DevicePassword{Token: token, Expires: expires}, err
}

// Bind says what a device reports for from now on: a phone for a driver, a
// tracker for a vehicle, nothing when both are zero. Its connections end, so that
// it comes back as what it is now.
func (d *Devices) Bind(ctx context.Context, device fleet.DeviceID, driver fleet.DriverID, vehicle fleet.VehicleID) error {
	before, err := d.devices.Bind(ctx, device, driver, vehicle, d.clock.Now())
	if err != nil {
		return err
	}
	return d.rebound(ctx, device, before)
}

// rebound is moved of a device for which a gateway may speak, which is to learn of it.
func (d *Devices) rebound(ctx context.Context, device fleet.DeviceID, from fleet.Unit) error {
	now, err := d.devices.Get(ctx, device)
	if err == nil && !now.Gateway.IsZero() {
		d.comeAnew(now.Gateway)
	}
	d.moved(device, from)
	return err
}

// moved makes known that a device reports for another unit than before.
func (d *Devices) moved(device fleet.DeviceID, from fleet.Unit) {
	d.comeAnew(device)
	d.bus.Moves.Publish(bus.Move{Device: device, From: from})
}

// comeAnew ends the connections of a device, which comes back as what it is now. It is
// forgotten first: who is disconnected by the news comes straight back.
func (d *Devices) comeAnew(device fleet.DeviceID) {
	d.forget(device)
	d.bus.Revocations.Publish(bus.Revocation{Device: device})
}

// relink makes the phones of a driver whose account has changed come back as
// what they are now. Phones that another person enrolled stay that person's.
func (d *Devices) relink(ctx context.Context, driver fleet.DriverID) error {
	phones, err := d.devices.OfDriver(ctx, driver)
	if err != nil {
		return err
	}
	for _, phone := range phones {
		if err := d.Bind(ctx, phone, driver, fleet.VehicleID{}); err != nil {
			return err
		}
	}
	return nil
}
