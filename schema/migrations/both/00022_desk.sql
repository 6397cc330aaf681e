-- +goose Up
-- alias is what principals call the officer. approved says since when staff let
-- every principal choose them; the others are known to those whom they protected.
ALTER TABLE drivers
    ADD COLUMN alias    text NOT NULL DEFAULT '',
    ADD COLUMN approved timestamptz;

-- What a principal wishes about an officer: of two wishes the later one counts.
CREATE TABLE officer_wishes (
    user_id   uuid NOT NULL REFERENCES users,
    driver_id uuid NOT NULL REFERENCES drivers,
    wish      text NOT NULL CHECK (wish IN ('favourite', 'blocked')),
    wished    timestamptz NOT NULL,
    PRIMARY KEY (user_id, driver_id)
);

-- A quote is booked once. It leaves long before its booking does.
ALTER TABLE bookings ADD COLUMN quote_id uuid UNIQUE;

-- The order of a series as of a booking; local_start is that of the first. made
-- counts those that were made, or passed over.
ALTER TABLE booking_series
    ADD COLUMN zone        text    NOT NULL,
    ADD COLUMN local_start text    NOT NULL,
    ADD COLUMN minutes     integer NOT NULL CHECK (minutes > 0),
    ADD COLUMN asked       jsonb   NOT NULL,
    ADD COLUMN made        integer NOT NULL DEFAULT 0;
CREATE INDEX booking_series_open ON booking_series (id) WHERE ended IS NULL;

CREATE TABLE booking_ratings (
    booking_id uuid PRIMARY KEY REFERENCES bookings,
    stars      smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    text       text NOT NULL,
    rated      timestamptz NOT NULL
);
