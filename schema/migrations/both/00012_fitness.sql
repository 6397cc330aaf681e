-- +goose Up
-- tiers are those beyond tier. coverage is json and not jsonb, like a fence's
-- shape: it is shown as it was said.
ALTER TABLE drivers
    ADD COLUMN tiers     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN coverage  json   NOT NULL DEFAULT '[]',
    ADD COLUMN languages text[] NOT NULL DEFAULT '{}',
    ADD COLUMN gender    text   NOT NULL DEFAULT '',
    ADD COLUMN bio       text   NOT NULL DEFAULT '',
    ADD COLUMN photo     uuid;

-- warned is the deadline of which the driver and ops were told.
CREATE TABLE documents (
    id           uuid PRIMARY KEY,
    driver       uuid REFERENCES drivers,
    vehicle      uuid REFERENCES vehicles,
    kind         text NOT NULL,
    number       text NOT NULL,
    category     text NOT NULL,
    issued       timestamptz,
    expires      timestamptz,
    file         uuid,
    status       text NOT NULL CHECK (status IN ('submitted', 'verified', 'rejected', 'suspended', 'revoked')),
    reason       text NOT NULL DEFAULT '',
    submitted    timestamptz NOT NULL,
    submitted_by text NOT NULL,
    verified     timestamptz,
    verified_by  text NOT NULL DEFAULT '',
    reverify     timestamptz,
    warned       timestamptz,
    CHECK (num_nonnulls(driver, vehicle) = 1)
);
CREATE INDEX documents_driver ON documents (driver, id) WHERE driver IS NOT NULL;
CREATE INDEX documents_vehicle ON documents (vehicle, id) WHERE vehicle IS NOT NULL;
CREATE INDEX documents_status ON documents (status, id);
CREATE INDEX documents_deadline ON documents (least(expires, reverify)) WHERE status = 'verified';

-- vehicles.driver is the open one of these.
CREATE TABLE vehicle_drivers (
    vehicle uuid NOT NULL REFERENCES vehicles,
    driver  uuid NOT NULL REFERENCES drivers,
    began   timestamptz NOT NULL,
    ended   timestamptz CHECK (ended >= began)
);
CREATE UNIQUE INDEX vehicle_drivers_open ON vehicle_drivers (vehicle) WHERE ended IS NULL;
CREATE INDEX vehicle_drivers_vehicle ON vehicle_drivers (vehicle, began);

-- A driver is off duty unless one of these says otherwise. A driver's row is
-- locked while theirs change, so that they do not overlap.
CREATE TABLE duty_spells (
    driver uuid NOT NULL REFERENCES drivers,
    duty   text NOT NULL CHECK (duty IN ('on_duty', 'break')),
    began  timestamptz NOT NULL,
    ended  timestamptz CHECK (ended >= began)
);
CREATE UNIQUE INDEX duty_spells_open ON duty_spells (driver) WHERE ended IS NULL;
CREATE INDEX duty_spells_driver ON duty_spells (driver, began);
