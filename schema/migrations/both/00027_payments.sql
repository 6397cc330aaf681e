-- +goose Up
-- Who principals are to Stripe, and the cards that it keeps for them. The hub never
-- sees a card: stripe_id is all that leads to one.
CREATE TABLE customers (
    user_id   uuid PRIMARY KEY REFERENCES users,
    stripe_id text NOT NULL UNIQUE,
    created   timestamptz NOT NULL
);

CREATE TABLE payment_methods (
    id        uuid PRIMARY KEY,
    user_id   uuid NOT NULL REFERENCES users,
    stripe_id text NOT NULL UNIQUE,
    brand     text NOT NULL,
    last4     text NOT NULL,
    exp_month smallint NOT NULL,
    exp_year  smallint NOT NULL,
    preferred boolean NOT NULL,
    created   timestamptz NOT NULL,
    removed   timestamptz,
    CHECK (NOT preferred OR removed IS NULL)
);
CREATE INDEX payment_methods_user ON payment_methods (user_id, id);
CREATE UNIQUE INDEX payment_methods_preferred ON payment_methods (user_id) WHERE preferred;

-- A card that is being kept: stripe_id is of a setup intent.
CREATE TABLE card_setups (
    id        uuid PRIMARY KEY,
    user_id   uuid NOT NULL REFERENCES users,
    stripe_id text UNIQUE,
    created   timestamptz NOT NULL,
    done      timestamptz
);
CREATE INDEX card_setups_open ON card_setups (user_id) WHERE done IS NULL;

-- What is to be seen to about the money of a booking that is paid by card; one
-- without a row has terms. next_look is when, NULL: when something happens.
CREATE TABLE booking_money (
    booking_id uuid PRIMARY KEY REFERENCES bookings,
    user_id    uuid NOT NULL REFERENCES users,
    method     text NOT NULL DEFAULT '',
    session    boolean NOT NULL DEFAULT false,
    next_look  timestamptz,
    reminded   smallint NOT NULL DEFAULT 0
);
CREATE INDEX booking_money_look ON booking_money (next_look) WHERE next_look IS NOT NULL;
CREATE INDEX booking_money_user ON booking_money (user_id);

-- The mirror of the transition tables in fleet.
CREATE TABLE payment_moves (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO payment_moves VALUES
    ('new', 'needs_method'), ('new', 'needs_action'), ('new', 'processing'), ('new', 'held'), ('new', 'captured'),
    ('new', 'cancelled'), ('new', 'expired'), ('new', 'failed'),
    ('needs_method', 'needs_action'), ('needs_method', 'processing'), ('needs_method', 'held'), ('needs_method', 'captured'),
    ('needs_method', 'cancelled'), ('needs_method', 'expired'),
    ('needs_action', 'needs_method'), ('needs_action', 'processing'), ('needs_action', 'held'), ('needs_action', 'captured'),
    ('needs_action', 'cancelled'), ('needs_action', 'expired'),
    ('processing', 'needs_method'), ('processing', 'needs_action'), ('processing', 'held'), ('processing', 'captured'),
    ('processing', 'cancelled'), ('processing', 'expired'),
    ('held', 'captured'), ('held', 'cancelled'), ('held', 'expired');

CREATE TABLE refund_moves (
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO refund_moves VALUES
    ('waiting', 'new'), ('waiting', 'rejected'),
    ('new', 'pending'), ('new', 'succeeded'), ('new', 'failed'),
    ('pending', 'succeeded'), ('pending', 'failed'), ('succeeded', 'failed');

-- Due for a booking and not to be had. Who has an open one books nothing new.
CREATE TABLE debts (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    booking_id uuid NOT NULL REFERENCES bookings,
    state      text NOT NULL CHECK (state IN ('open', 'paid', 'forgiven', 'written_off')),
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    reason     text NOT NULL,
    created    timestamptz NOT NULL,
    ended      timestamptz,
    paid_by    uuid,
    CHECK ((ended IS NULL) = (state = 'open')),
    CHECK ((paid_by IS NOT NULL) = (state = 'paid'))
);
CREATE INDEX debts_user ON debts (user_id, id);
CREATE INDEX debts_booking ON debts (booking_id);
CREATE INDEX debts_open ON debts (user_id) WHERE state = 'open';

-- One row a payment intent: (booking, purpose, number) names it. Amounts are in the
-- smallest unit. refunded counts the refunds that have not failed.
CREATE TABLE payments (
    id             uuid PRIMARY KEY,
    booking_id     uuid NOT NULL REFERENCES bookings,
    user_id        uuid NOT NULL REFERENCES users,
    purpose        text NOT NULL CHECK (purpose IN ('initial', 'extension', 'reauthorisation', 'overage', 'fee', 'debt')),
    number         integer NOT NULL CHECK (number > 0),
    state          text NOT NULL CHECK (state IN ('new', 'needs_method', 'needs_action', 'processing', 'held',
                                                  'captured', 'cancelled', 'expired', 'failed')),
    version        bigint NOT NULL DEFAULT 1,
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    captured       bigint NOT NULL DEFAULT 0,
    refunded       bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    fee            bigint,
    capture_before timestamptz,
    stripe_id      text UNIQUE,
    charge_id      text,
    method         text NOT NULL DEFAULT '',
    code           text NOT NULL DEFAULT '',
    decline_code   text NOT NULL DEFAULT '',
    capture_now    boolean NOT NULL DEFAULT false,
    debt_id        uuid REFERENCES debts,
    created        timestamptz NOT NULL,
    changed        timestamptz NOT NULL,
    UNIQUE (booking_id, purpose, number),
    CHECK (captured BETWEEN 0 AND amount),
    CHECK (refunded <= captured),
    CHECK ((captured > 0) = (state = 'captured')),
    CHECK (state IN ('new', 'cancelled', 'failed') OR stripe_id IS NOT NULL),
    CHECK ((debt_id IS NOT NULL) = (purpose = 'debt'))
);
CREATE INDEX payments_user ON payments (user_id, id);
CREATE INDEX payments_charge ON payments (charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX payments_debt ON payments (debt_id) WHERE debt_id IS NOT NULL;
ALTER TABLE debts ADD FOREIGN KEY (paid_by) REFERENCES payments;

CREATE TABLE refunds (
    id         uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments,
    booking_id uuid NOT NULL REFERENCES bookings,
    user_id    uuid NOT NULL REFERENCES users,
    number     integer NOT NULL CHECK (number > 0),
    state      text NOT NULL CHECK (state IN ('waiting', 'rejected', 'new', 'pending', 'succeeded', 'failed')),
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    reason     text NOT NULL,
    asked_by   uuid REFERENCES users,
    excess     boolean NOT NULL,
    approval   uuid UNIQUE REFERENCES approvals,
    stripe_id  text UNIQUE,
    code       text NOT NULL DEFAULT '',
    created    timestamptz NOT NULL,
    changed    timestamptz NOT NULL,
    UNIQUE (payment_id, number),
    CHECK (state IN ('waiting', 'rejected', 'new', 'failed') OR stripe_id IS NOT NULL)
);
CREATE INDEX refunds_booking ON refunds (booking_id);
CREATE INDEX refunds_user ON refunds (user_id, id);

-- +goose StatementBegin
CREATE FUNCTION check_payment_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE from_state = $1 AND to_state = $2)', TG_ARGV[0])
        INTO allowed USING OLD.state, NEW.state;
    IF NOT allowed THEN
        RAISE EXCEPTION 'it does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payment_moves BEFORE UPDATE OF state ON payments
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_payment_move('payment_moves');
CREATE TRIGGER refund_moves BEFORE UPDATE OF state ON refunds
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_payment_move('refund_moves');

-- What was asked of Stripe, saved before it was. Until it is answered, it is asked
-- again under the same key.
CREATE TABLE payment_calls (
    key          text PRIMARY KEY,
    booking_id   uuid NOT NULL REFERENCES bookings,
    payment_id   uuid NOT NULL REFERENCES payments,
    refund_id    uuid REFERENCES refunds,
    step         text NOT NULL CHECK (step IN ('create', 'confirm', 'capture', 'cancel', 'refund')),
    attempt      integer NOT NULL CHECK (attempt > 0),
    amount       bigint NOT NULL,
    method       text NOT NULL,
    session      boolean NOT NULL,
    saved        timestamptz NOT NULL,
    answered     timestamptz,
    code         text NOT NULL DEFAULT '',
    decline_code text NOT NULL DEFAULT '',
    request_id   text NOT NULL DEFAULT '',
    CHECK ((step = 'refund') = (refund_id IS NOT NULL))
);
CREATE INDEX payment_calls_booking ON payment_calls (booking_id);
CREATE INDEX payment_calls_payment ON payment_calls (payment_id);
CREATE INDEX payment_calls_refund ON payment_calls (refund_id) WHERE refund_id IS NOT NULL;

-- The ledger: double entry, a debit above zero and a credit below. key says what a
-- transaction tells of, and so it is posted once. It refers to nothing: it outlives
-- what it tells of.
CREATE TABLE ledger_transactions (
    id         uuid PRIMARY KEY,
    key        text NOT NULL UNIQUE,
    kind       text NOT NULL,
    booking_id uuid,
    payment_id uuid,
    at         timestamptz NOT NULL
);
CREATE INDEX ledger_transactions_booking ON ledger_transactions (booking_id) WHERE booking_id IS NOT NULL;
CREATE INDEX ledger_transactions_at ON ledger_transactions (at, id);

CREATE TABLE ledger_entries (
    transaction_id uuid NOT NULL REFERENCES ledger_transactions,
    line           smallint NOT NULL,
    account        text NOT NULL,
    amount         bigint NOT NULL CHECK (amount <> 0),
    currency       text NOT NULL,
    PRIMARY KEY (transaction_id, line)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account, transaction_id);

-- +goose StatementBegin
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is added to and never changed' USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_transactions_kept BEFORE UPDATE OR DELETE ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_transactions_not_emptied BEFORE TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_entries_kept BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_entries_not_emptied BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- A transaction sums to zero in each currency, and has entries: seen at the commit.
-- +goose StatementBegin
CREATE FUNCTION check_ledger_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this uuid;
BEGIN
    IF TG_TABLE_NAME = 'ledger_transactions' THEN
        this := NEW.id;
        IF NOT EXISTS (SELECT FROM ledger_entries WHERE transaction_id = this) THEN
            RAISE EXCEPTION 'ledger transaction % has no entries', this USING ERRCODE = 'check_violation';
        END IF;
    ELSE
        this := NEW.transaction_id;
    END IF;
    IF EXISTS (SELECT FROM ledger_entries WHERE transaction_id = this GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero', this USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_transactions_balance AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_ledger_balance();
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_ledger_balance();
