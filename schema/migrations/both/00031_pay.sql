-- +goose Up
-- Every edition of what officers get of what is charged. The newest counts, for
-- whoever accepts from then on.
CREATE TABLE pay_rates (
    version integer PRIMARY KEY CHECK (version > 0),
    body    jsonb NOT NULL,
    set_by  uuid REFERENCES users,
    since   timestamptz NOT NULL
);
INSERT INTO pay_rates VALUES (1, '{"work": 60, "fee": 60}', NULL, '2026-01-01T00:00:00Z');

-- The edition by which the officer of a seat is paid: that of when they accepted.
-- NULL: nobody has accepted, or it was before there were editions.
ALTER TABLE booking_seats ADD COLUMN pay jsonb;

-- What officers are owed. It is added to and never changed: what turns out to be
-- less is a row below zero. number counts those of a seat.
CREATE TABLE earnings (
    id         uuid PRIMARY KEY,
    driver_id  uuid NOT NULL REFERENCES drivers,
    booking_id uuid NOT NULL REFERENCES bookings,
    seat_id    uuid NOT NULL REFERENCES booking_seats,
    number     integer NOT NULL CHECK (number > 0),
    kind       text NOT NULL CHECK (kind IN ('work', 'fee')),
    amount     bigint NOT NULL CHECK (amount <> 0),
    currency   text NOT NULL,
    minutes    integer NOT NULL CHECK (minutes >= 0),
    rates      jsonb NOT NULL,
    earned     timestamptz NOT NULL,
    UNIQUE (seat_id, number)
);
CREATE INDEX earnings_driver ON earnings (driver_id, id);
CREATE INDEX earnings_booking ON earnings (booking_id);
CREATE INDEX earnings_earned ON earnings (earned, id);
CREATE TRIGGER earnings_kept BEFORE UPDATE OR DELETE ON earnings FOR EACH ROW EXECUTE FUNCTION invoices_kept();
CREATE TRIGGER earnings_not_emptied BEFORE TRUNCATE ON earnings FOR EACH STATEMENT EXECUTE FUNCTION invoices_kept();
