-- +goose Up
-- What people are told, stored with the change that it tells of. data is sealed.
CREATE TABLE notices (
    id       uuid PRIMARY KEY,
    user_id  uuid REFERENCES users,
    channel  text NOT NULL CHECK (channel IN ('mail', 'sms')),
    address  text NOT NULL,
    kind     text NOT NULL,
    data     bytea NOT NULL,
    created  timestamptz NOT NULL,
    expires  timestamptz NOT NULL,
    state    text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'unknown', 'expired', 'shown')),
    changed  timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    problem  text NOT NULL DEFAULT ''
);
CREATE INDEX notices_user ON notices (user_id, id);
CREATE INDEX notices_created ON notices (created);
