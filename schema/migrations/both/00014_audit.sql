-- +goose Up
-- Who did what, and who looked at whose data. It references nobody: an entry
-- stays when what it names is gone. detail is json and not jsonb, because its
-- text is hashed.
CREATE TABLE audit_entries (
    id         uuid PRIMARY KEY,
    actor      text NOT NULL,
    actor_user uuid,
    action     text NOT NULL,
    subjects   uuid[] NOT NULL,
    object     text NOT NULL,
    detail     json,
    at         timestamptz NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX audit_entries_subjects ON audit_entries USING gin (subjects);
CREATE INDEX audit_entries_actor ON audit_entries (actor, id);
CREATE INDEX audit_entries_at ON audit_entries (at);

-- What is not sealed yet, by the transactions that added it: an entry whose
-- transaction was slow is sealed later, wherever its id lies.
CREATE TABLE audit_tail (
    entry uuid PRIMARY KEY REFERENCES audit_entries
);

-- The chain: fleet.AuditSeal says what it means.
CREATE TABLE audit_seals (
    seq      bigint PRIMARY KEY,
    entries  uuid[] NOT NULL,
    hashes   bytea NOT NULL,
    previous bytea NOT NULL,
    hash     bytea NOT NULL,
    sealed   timestamptz NOT NULL,
    retired  timestamptz
);
CREATE INDEX audit_seals_kept ON audit_seals (sealed) WHERE retired IS NULL;

-- The log is added to and never changed. Retention alone takes entries out, a
-- whole seal at a time, in a transaction that says so by armora.audit = 'retire'.
-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('armora.audit', true) = 'retire' AND TG_LEVEL = 'ROW' THEN
        IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_entries' THEN
            RETURN OLD;
        ELSIF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'audit_seals'
              AND to_jsonb(NEW) - 'retired' = to_jsonb(OLD) - 'retired' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is added to and never changed';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_kept BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_entries_not_emptied BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_seals_kept BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_seals_not_emptied BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
