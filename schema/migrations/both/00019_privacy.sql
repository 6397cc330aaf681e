-- +goose Up
ALTER TABLE files DROP CONSTRAINT files_purpose_check;
ALTER TABLE files ADD CONSTRAINT files_purpose_check CHECK (purpose IN ('avatar', 'document', 'export'));

-- What people asked to be given of all that is known of them. file is the ZIP;
-- draft is what it will be of who makes it: the last to begin is the one.
CREATE TABLE exports (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    asked   timestamptz NOT NULL,
    ready   timestamptz,
    expires timestamptz,
    draft   uuid,
    file    uuid REFERENCES files ON DELETE SET NULL,
    size    bigint NOT NULL DEFAULT 0,
    CHECK ((ready IS NULL) = (expires IS NULL))
);
CREATE UNIQUE INDEX exports_running ON exports (user_id) WHERE ready IS NULL;
CREATE INDEX exports_user ON exports (user_id, id);
CREATE INDEX exports_expires ON exports (expires);
CREATE INDEX exports_file ON exports (file) WHERE file IS NOT NULL;

-- People who were erased. held says that a legal hold keeps something of theirs,
-- which goes once it is released. contact is what the processors have to know of
-- the person, sealed; it goes when the last of those that are to call was called.
CREATE TABLE erasures (
    id       uuid PRIMARY KEY,
    user_id  uuid NOT NULL UNIQUE REFERENCES users,
    asked    timestamptz NOT NULL,
    replayed timestamptz,
    done     timestamptz,
    held     boolean NOT NULL DEFAULT false,
    calls    text[] NOT NULL,
    contact  bytea
);
CREATE INDEX erasures_held ON erasures (id) WHERE held;

-- The proof of an erasure: what was done about each table and by each processor,
-- and to how many rows; what was kept is not counted. It says nothing of the person.
CREATE TABLE erasure_proofs (
    erasure uuid NOT NULL REFERENCES erasures,
    subject text NOT NULL,
    act     text NOT NULL CHECK (act IN ('deleted', 'anonymised', 'kept', 'called')),
    count   bigint,
    note    text NOT NULL DEFAULT '',
    at      timestamptz NOT NULL
);
CREATE INDEX erasure_proofs_erasure ON erasure_proofs (erasure, at);
