-- +goose Up
-- Whether an officer of a trip is at one of its places, by the fixes of their
-- devices, and where that place was then: it may be moved. It changes with the event
-- that tells of it.
CREATE TABLE trip_presence (
    booking_id uuid NOT NULL REFERENCES bookings,
    driver_id  uuid NOT NULL REFERENCES drivers,
    place      text NOT NULL CHECK (place IN ('pickup', 'destination')),
    inside     boolean NOT NULL,
    since      timestamptz NOT NULL,
    lat        double precision NOT NULL,
    lon        double precision NOT NULL,
    PRIMARY KEY (booking_id, driver_id, place)
);
