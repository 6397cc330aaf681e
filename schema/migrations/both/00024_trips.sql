-- +goose Up
-- Whether an officer of a trip is at one of its places, by the fixes of their
-- devices. It changes with the event that tells of it.
CREATE TABLE trip_presence (
    booking_id uuid NOT NULL REFERENCES bookings,
    driver_id  uuid NOT NULL REFERENCES drivers,
    place      text NOT NULL CHECK (place IN ('pickup', 'destination')),
    inside     boolean NOT NULL,
    since      timestamptz NOT NULL,
    PRIMARY KEY (booking_id, driver_id, place)
);
