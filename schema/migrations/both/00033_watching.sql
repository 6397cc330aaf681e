-- +goose Up
-- Links by which principals share a trip. hash is keyed; the token itself is in the
-- link alone. What ends at a time has expires; the others end with the arrival or
-- with the trip.
CREATE TABLE shares (
    id         uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    user_id    uuid NOT NULL REFERENCES users, -- who shares: the principal
    label      text NOT NULL,                  -- for whom, in the sharer's words
    hash       bytea NOT NULL UNIQUE,
    until      text NOT NULL CHECK (until IN ('30_min', '1_h', 'arrival', 'trip_end')),
    created    timestamptz NOT NULL,
    expires    timestamptz CHECK ((expires IS NULL) = (until IN ('arrival', 'trip_end'))),
    revoked    timestamptz,
    opened     timestamptz,                    -- last; NULL: never
    times      integer NOT NULL DEFAULT 0      -- how often it was opened
);
CREATE INDEX shares_user ON shares (user_id, booking_id);
CREATE INDEX shares_booking ON shares (booking_id);

-- Tickets open one WebSocket or, again and again while they last, one event stream,
-- for a browser that cannot send its token there. until is when the token expires by
-- which the ticket was asked for.
CREATE TABLE tickets (
    hash       bytea PRIMARY KEY,
    session    uuid REFERENCES user_sessions ON DELETE CASCADE,
    share      uuid REFERENCES shares ON DELETE CASCADE,
    opens      text NOT NULL,
    booking_id uuid NOT NULL, -- need not exist: who has no right to it learns nothing
    expires    timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    CHECK (num_nonnulls(session, share) = 1)
);
CREATE INDEX tickets_expires ON tickets (expires);
CREATE INDEX tickets_session ON tickets (session);
CREATE INDEX tickets_share ON tickets (share);
