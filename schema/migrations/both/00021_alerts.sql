-- +goose Up
-- Of one thing there is one open alert: raised again it is the same.
CREATE TABLE alerts (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    booking_id uuid REFERENCES bookings,
    driver_id  uuid REFERENCES drivers,
    data       jsonb,
    raised     timestamptz NOT NULL,
    closed     timestamptz,
    closed_by  text NOT NULL DEFAULT '',
    note       text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX alerts_open ON alerts (kind, coalesce(booking_id, driver_id), coalesce(driver_id, booking_id)) WHERE closed IS NULL;
CREATE INDEX alerts_raised ON alerts (raised, id);
