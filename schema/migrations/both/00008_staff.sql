-- +goose Up
CREATE INDEX users_admins ON users (id) WHERE 'admin' = ANY(roles) AND erased IS NULL;

-- What one person asks for and another has to agree to. asked_by is null for the
-- bootstrap admin.
CREATE TABLE approvals (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    subject    text NOT NULL,
    payload    jsonb,
    reason     text NOT NULL,
    asked_by   uuid REFERENCES users,
    asked      timestamptz NOT NULL,
    decided_by uuid REFERENCES users,
    decided    timestamptz,
    outcome    text CHECK (outcome IN ('approved', 'rejected')),
    expires    timestamptz NOT NULL,
    CHECK (decided_by IS DISTINCT FROM asked_by OR decided IS NULL),
    CHECK ((decided IS NULL) = (outcome IS NULL) AND (decided IS NULL) = (decided_by IS NULL))
);
CREATE INDEX approvals_asked_by ON approvals (asked_by, kind, id);

-- The spells in which a person may not sign in; users.suspended is when the one
-- that lasts began. What staff did, without an id, the bootstrap admin did.
CREATE TABLE suspensions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    reason     text NOT NULL,
    by         uuid REFERENCES users,
    since      timestamptz NOT NULL,
    ended      timestamptz,
    ended_by   uuid REFERENCES users,
    end_reason text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX suspensions_lasting ON suspensions (user_id) WHERE ended IS NULL;
CREATE INDEX suspensions_user ON suspensions (user_id, id);

-- Which of the staff see a restricted principal.
CREATE TABLE viewers (
    user_id    uuid NOT NULL REFERENCES users,
    staff_id   uuid NOT NULL REFERENCES users,
    granted_by uuid REFERENCES users,
    granted    timestamptz NOT NULL,
    PRIMARY KEY (user_id, staff_id)
);
