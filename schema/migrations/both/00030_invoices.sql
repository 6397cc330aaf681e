-- +goose Up
-- The last number of each series of papers. Whoever issues one holds the row's lock
-- until it is committed, so that numbers have no gaps, and dates are in order.
CREATE TABLE invoice_series (
    series text PRIMARY KEY,
    last   bigint NOT NULL CHECK (last >= 0)
);

-- Invoices, credit notes and statements as they were issued. cause is what each is
-- issued for, once. document is the whole paper; the rest is what statements look at.
CREATE TABLE invoices (
    id         uuid PRIMARY KEY,
    number     text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('invoice', 'credit_note', 'statement')),
    cause      text NOT NULL UNIQUE,
    user_id    uuid REFERENCES users,
    booking_id uuid REFERENCES bookings,
    corrects   uuid REFERENCES invoices,
    issued     timestamptz NOT NULL,
    total      bigint NOT NULL CHECK (total >= 0),
    vat        bigint NOT NULL CHECK (vat BETWEEN 0 AND total),
    currency   text NOT NULL,
    document   jsonb NOT NULL,
    CHECK ((corrects IS NOT NULL) = (kind = 'credit_note')),
    CHECK (kind = 'statement' OR user_id IS NOT NULL AND booking_id IS NOT NULL)
);
CREATE INDEX invoices_user ON invoices (user_id, id);
CREATE INDEX invoices_booking ON invoices (booking_id, id);
CREATE INDEX invoices_corrects ON invoices (corrects) WHERE corrects IS NOT NULL;

-- What was issued stays as it was. Retention alone deletes, and says so first.
-- +goose StatementBegin
CREATE FUNCTION invoices_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('armora.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'what was issued is never changed';
END $$;
-- +goose StatementEnd
CREATE TRIGGER invoices_kept BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION invoices_kept();
CREATE TRIGGER invoices_not_emptied BEFORE TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION invoices_kept();
