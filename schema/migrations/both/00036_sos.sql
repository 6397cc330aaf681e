-- +goose Up
-- Emergencies. They refer to nobody: a hub that was cut off from its database
-- writes down what happened, and what it wrote is stored whatever the database
-- knows by then of whom it is about. The row is a summary: the timeline is the truth.
CREATE TABLE sos (
    id         uuid PRIMARY KEY,
    user_id    uuid,
    driver_id  uuid,
    device     uuid,
    booking_id uuid,
    drill      boolean NOT NULL,
    received   timestamptz NOT NULL,
    ended      timestamptz,
    seq        bigint NOT NULL,
    head       bytea NOT NULL
);
CREATE INDEX sos_open ON sos (id) WHERE ended IS NULL;
CREATE INDEX sos_user ON sos (user_id, id);
CREATE INDEX sos_received ON sos (received);

-- The timeline: each entry's hash covers it and the hash of the one before.
-- detail is json and not jsonb, because its text is hashed.
CREATE TABLE sos_entries (
    sos      uuid NOT NULL REFERENCES sos,
    seq      bigint NOT NULL,
    id       uuid NOT NULL UNIQUE,
    kind     text NOT NULL,
    at       timestamptz NOT NULL,
    by       text NOT NULL,
    detail   json NOT NULL,
    previous bytea NOT NULL,
    hash     bytea NOT NULL,
    PRIMARY KEY (sos, seq)
);

-- A timeline is added to and never changed. Retention alone takes it out, in a
-- transaction that says so by armora.sos = 'retire'.
-- +goose StatementBegin
CREATE FUNCTION sos_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('armora.sos', true) = 'retire' AND TG_LEVEL = 'ROW' AND TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the timeline of an SOS is added to and never changed';
END $$;
-- +goose StatementEnd
CREATE TRIGGER sos_entries_kept BEFORE UPDATE OR DELETE ON sos_entries
    FOR EACH ROW EXECUTE FUNCTION sos_append_only();
CREATE TRIGGER sos_entries_not_emptied BEFORE TRUNCATE ON sos_entries
    FOR EACH STATEMENT EXECUTE FUNCTION sos_append_only();

-- Who is called, in order, until somebody sees to it. A step is on call from one
-- time until another; without them, always.
CREATE TABLE sos_rota (
    position integer PRIMARY KEY,
    channel  text NOT NULL CHECK (channel IN ('console', 'push', 'sms', 'voice', 'mail')),
    user_id  uuid NOT NULL REFERENCES users,
    since    timestamptz,
    until    timestamptz,
    CHECK (until > since)
);

-- A code that a person gives when somebody makes them cancel: a keyed hash, since
-- it is short.
CREATE TABLE duress_codes (
    user_id uuid PRIMARY KEY REFERENCES users,
    hash    bytea NOT NULL,
    changed timestamptz NOT NULL
);
