-- +goose Up
-- Where the ledger and Stripe's book differ and finance knows why: who says so and, where
-- it is much, who else does. What differs by another amount is not known.
CREATE TABLE known_differences (
    line      text NOT NULL, -- Stripe's balance transaction or, where there is none, the key of our posting
    amount    bigint NOT NULL CHECK (amount <> 0), -- by how much Stripe has more than the ledger
    currency  text NOT NULL,
    reason    text NOT NULL CHECK (reason <> ''),
    account   text, -- which the correction in the ledger is posted to; null: it needs none
    said_by   uuid REFERENCES users,
    said      timestamptz NOT NULL,
    agreed_by uuid REFERENCES users,
    agreed    timestamptz, -- null: a second person is waited for
    PRIMARY KEY (line, amount)
);
