-- +goose Up
-- What Stripe has told of by webhook, stored once. What it told is not kept: it is
-- read anew, and so nothing personal or secret of it lies here.
CREATE TABLE stripe_events (
    id       text PRIMARY KEY,
    type     text NOT NULL,
    object   text NOT NULL,
    version  text NOT NULL,
    created  timestamptz NOT NULL,
    received timestamptz NOT NULL,
    applied  timestamptz
);
CREATE INDEX stripe_events_received ON stripe_events (received);

-- Charges that their principal contests with their bank. One without a payment is
-- of something that is not a booking.
CREATE TABLE disputes (
    id         uuid PRIMARY KEY,
    stripe_id  text NOT NULL UNIQUE,
    charge_id  text NOT NULL,
    payment_id uuid REFERENCES payments,
    booking_id uuid REFERENCES bookings,
    user_id    uuid REFERENCES users,
    state      text NOT NULL CHECK (state IN ('warning_needs_response', 'warning_under_review', 'needs_response', 'under_review',
                                              'warning_closed', 'charge_refunded', 'won', 'lost')),
    reason     text NOT NULL,
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    due        timestamptz,
    opened     timestamptz NOT NULL,
    closed     timestamptz,
    CHECK ((payment_id IS NULL) = (booking_id IS NULL) AND (payment_id IS NULL) = (user_id IS NULL)),
    CHECK ((closed IS NOT NULL) = (state IN ('warning_closed', 'charge_refunded', 'won', 'lost')))
);
CREATE INDEX disputes_payment ON disputes (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX disputes_booking ON disputes (booking_id) WHERE booking_id IS NOT NULL;
CREATE INDEX disputes_user ON disputes (user_id) WHERE user_id IS NOT NULL;

-- Stripe's own book about our balance, as far as it was read. key and fee_key are of
-- the postings in the ledger that tell of a line: a comparison joins by them.
CREATE TABLE stripe_transactions (
    id       text PRIMARY KEY,
    type     text NOT NULL,
    source   text NOT NULL,
    amount   bigint NOT NULL,
    fee      bigint NOT NULL,
    currency text NOT NULL,
    created  timestamptz NOT NULL,
    key      text,
    fee_key  text
);
CREATE INDEX stripe_transactions_created ON stripe_transactions (created, id);
CREATE INDEX stripe_transactions_source ON stripe_transactions (source);
CREATE INDEX stripe_transactions_key ON stripe_transactions (key);
CREATE INDEX stripe_transactions_fee_key ON stripe_transactions (fee_key);

-- When Stripe's book was read last.
CREATE TABLE stripe_read (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    at   timestamptz NOT NULL
);

-- What is about no booking and no officer is about payments as a whole: of that too
-- there is one open alert.
CREATE UNIQUE INDEX alerts_open_payments ON alerts (kind)
    WHERE closed IS NULL AND booking_id IS NULL AND driver_id IS NULL AND kind IN ('stripe_version', 'books_differ', 'dispute');
