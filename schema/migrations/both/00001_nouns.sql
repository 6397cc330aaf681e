-- +goose Up
CREATE TABLE drivers (
    id   uuid PRIMARY KEY,
    name text NOT NULL,
    tier text NOT NULL
);

CREATE TABLE vehicles (
    id           uuid PRIMARY KEY,
    registration text NOT NULL UNIQUE,
    driver       uuid REFERENCES drivers
);

-- number stands for the device in points: 4 bytes instead of 16, in the row
-- and again in its index. command_seq is the number of its last command; the
-- row's lock makes the commands of a device commit in the order of their seq.
CREATE TABLE devices (
    id          uuid PRIMARY KEY,
    number      integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind        text NOT NULL CHECK (kind IN ('phone', 'tracker')),
    name        text NOT NULL,
    format      smallint NOT NULL,
    external    text NOT NULL DEFAULT '',
    gateway     uuid REFERENCES devices,
    driver      uuid REFERENCES drivers,
    vehicle     uuid REFERENCES vehicles,
    created     timestamptz NOT NULL,
    payload_key bytea,
    command_seq bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX devices_external ON devices (format, external) WHERE external <> '' AND gateway IS NULL;
CREATE UNIQUE INDEX devices_child ON devices (gateway, external) WHERE external <> '' AND gateway IS NOT NULL;

-- In a table of its own, because it is rewritten often and devices is not.
CREATE TABLE device_status (
    device   uuid PRIMARY KEY REFERENCES devices,
    online   boolean NOT NULL,
    battery  real,
    app      text NOT NULL,
    received timestamptz NOT NULL
);

CREATE TABLE credentials (
    id      uuid PRIMARY KEY,
    device  uuid NOT NULL REFERENCES devices,
    kind    text NOT NULL,
    hash    bytea NOT NULL UNIQUE,
    created timestamptz NOT NULL,
    expires timestamptz,
    revoked timestamptz
);
CREATE INDEX credentials_device ON credentials (device);

CREATE TABLE signing_keys (
    id        text PRIMARY KEY,
    algorithm text NOT NULL,
    public    bytea NOT NULL,
    private   bytea NOT NULL,
    created   timestamptz NOT NULL,
    retires   timestamptz
);

CREATE TABLE sessions (
    client_id     text PRIMARY KEY,
    device        uuid NOT NULL REFERENCES devices,
    version       smallint NOT NULL,
    expiry_ms     bigint NOT NULL,
    disconnected  timestamptz,
    subscriptions json NOT NULL
);

-- Bodies are json and not jsonb: they are kept as they were said, and a body
-- with \u0000 in it is kept too.
CREATE TABLE commands (
    device  uuid NOT NULL REFERENCES devices,
    seq     bigint NOT NULL,
    kind    text NOT NULL,
    body    json,
    created timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    acked   timestamptz,
    PRIMARY KEY (device, seq)
);
CREATE INDEX commands_pending ON commands (device, seq) WHERE acked IS NULL;
CREATE INDEX commands_expires ON commands (expires);

CREATE TABLE events (
    device   uuid NOT NULL REFERENCES devices,
    id       uuid NOT NULL,
    kind     text NOT NULL,
    at       timestamptz NOT NULL,
    received timestamptz NOT NULL,
    body     json,
    PRIMARY KEY (device, id)
);
CREATE INDEX events_received ON events (device, received, id);

-- No reference to devices: what cannot be understood may name anything.
CREATE TABLE dead_letters (
    id       uuid PRIMARY KEY,
    device   uuid,
    topic    text NOT NULL,
    reason   text NOT NULL,
    payload  bytea NOT NULL,
    received timestamptz NOT NULL
);
CREATE INDEX dead_letters_received ON dead_letters (received);
