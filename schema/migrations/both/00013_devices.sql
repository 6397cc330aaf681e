-- +goose Up
-- user_id is who enrolled the phone by signing in.
ALTER TABLE devices
    ADD COLUMN user_id     uuid REFERENCES users,
    ADD COLUMN platform    text NOT NULL DEFAULT '',
    ADD COLUMN app_version text NOT NULL DEFAULT '';
CREATE INDEX devices_user ON devices (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX devices_vehicle ON devices (vehicle) WHERE vehicle IS NOT NULL;
CREATE INDEX devices_driver ON devices (driver) WHERE driver IS NOT NULL;

-- What a device is bound to in its own row is the open one of these.
CREATE TABLE device_bindings (
    device  uuid NOT NULL REFERENCES devices,
    driver  uuid REFERENCES drivers,
    vehicle uuid REFERENCES vehicles,
    user_id uuid REFERENCES users,
    began   timestamptz NOT NULL,
    ended   timestamptz CHECK (ended >= began),
    CHECK (num_nonnulls(driver, vehicle, user_id) > 0)
);
CREATE UNIQUE INDEX device_bindings_open ON device_bindings (device) WHERE ended IS NULL;
CREATE INDEX device_bindings_device ON device_bindings (device, began);
INSERT INTO device_bindings (device, driver, vehicle, began)
SELECT id, driver, vehicle, created FROM devices WHERE num_nonnulls(driver, vehicle) > 0;
