-- +goose Up
-- The apps that people let the hub push to, each known to the push service by a
-- token. An app is its latest registrant's, and of use while their session lasts.
-- hash is keyed, and finds a token; sealed is the token itself.
CREATE TABLE push_tokens (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    session uuid NOT NULL REFERENCES user_sessions ON DELETE CASCADE,
    hash    bytea NOT NULL UNIQUE,
    sealed  bytea NOT NULL,
    created timestamptz NOT NULL
);
CREATE INDEX push_tokens_user ON push_tokens (user_id, created);
CREATE INDEX push_tokens_session ON push_tokens (session);

ALTER TABLE notices DROP CONSTRAINT notices_check;
ALTER TABLE notices ADD CONSTRAINT notices_channel CHECK
    (channel IN ('mail', 'sms', 'inbox', 'push') AND (channel NOT IN ('inbox', 'push') OR user_id IS NOT NULL));
-- The offer that a push brings: taken by the push service, it is delivered.
ALTER TABLE notices ADD COLUMN offer uuid REFERENCES offers ON DELETE SET NULL;
