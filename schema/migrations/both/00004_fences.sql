-- +goose Up
-- shape is json, as it was drawn: this database computes nothing with it.
CREATE TABLE fences (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    shape         json NOT NULL,
    dwell_ms      bigint NOT NULL CHECK (dwell_ms >= 0),
    confirm_fixes integer NOT NULL CHECK (confirm_fixes > 0),
    confirm_ms    bigint NOT NULL CHECK (confirm_ms >= 0),
    max_accuracy  real NOT NULL CHECK (max_accuracy > 0),
    created       timestamptz NOT NULL
);

-- No two events of a fence, a unit and a kind have one time, so telling one
-- again adds nothing. unit is a driver, a vehicle or a device.
CREATE TABLE fence_events (
    fence uuid NOT NULL REFERENCES fences ON DELETE CASCADE,
    at    timestamptz NOT NULL,
    unit  uuid NOT NULL,
    kind  text NOT NULL CHECK (kind IN ('enter', 'exit', 'dwell')),
    since timestamptz NOT NULL,
    lat   double precision NOT NULL,
    lon   double precision NOT NULL,
    PRIMARY KEY (fence, at, unit, kind)
);
CREATE INDEX fence_events_at ON fence_events (at);

-- Who is in which fence, by the events so far. at is that of the last of them.
CREATE TABLE fence_stays (
    fence uuid NOT NULL REFERENCES fences ON DELETE CASCADE,
    unit  uuid NOT NULL,
    since timestamptz NOT NULL,
    at    timestamptz NOT NULL,
    dwelt boolean NOT NULL,
    PRIMARY KEY (fence, unit)
);
