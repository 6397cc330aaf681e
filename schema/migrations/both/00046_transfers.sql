-- +goose Up
-- Who officers are to Stripe, which pays them: a connected account. attempt is of
-- the request that makes it, whose key it is in. ready: Stripe may pay them.
CREATE TABLE payout_accounts (
    driver_id uuid PRIMARY KEY REFERENCES drivers,
    attempt   integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    stripe_id text UNIQUE,
    ready     boolean NOT NULL DEFAULT false,
    created   timestamptz NOT NULL,
    changed   timestamptz NOT NULL,
    CHECK (stripe_id IS NOT NULL OR NOT ready)
);

-- How an earning is paid, which was decided when it was written down.
ALTER TABLE earnings ADD COLUMN payout text NOT NULL DEFAULT 'payroll' CHECK (payout IN ('payroll', 'transfer'));

-- What was passed on to officers of what a payment has brought, and, where
-- reverses is not null, was taken back of a transfer.
CREATE TABLE transfers (
    id         uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    payment_id uuid NOT NULL REFERENCES payments,
    seat_id    uuid NOT NULL REFERENCES booking_seats,
    driver_id  uuid NOT NULL REFERENCES drivers,
    reverses   uuid REFERENCES transfers,
    number     integer NOT NULL CHECK (number > 0),
    state      text NOT NULL CHECK (state IN ('new', 'made', 'failed')),
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    account    text NOT NULL,
    stripe_id  text UNIQUE,
    code       text NOT NULL DEFAULT '',
    created    timestamptz NOT NULL,
    changed    timestamptz NOT NULL,
    UNIQUE (seat_id, number),
    CHECK ((stripe_id IS NOT NULL) = (state = 'made'))
);
CREATE INDEX transfers_booking ON transfers (booking_id);
CREATE INDEX transfers_driver ON transfers (driver_id, id);

ALTER TABLE payment_calls ADD COLUMN transfer_id uuid REFERENCES transfers,
    DROP CONSTRAINT payment_calls_step_check,
    ADD CONSTRAINT payment_calls_step_check CHECK (step IN ('create', 'confirm', 'capture', 'cancel', 'refund', 'transfer', 'reverse')),
    ADD CHECK ((step IN ('transfer', 'reverse')) = (transfer_id IS NOT NULL));
CREATE INDEX payment_calls_transfer ON payment_calls (transfer_id) WHERE transfer_id IS NOT NULL;
