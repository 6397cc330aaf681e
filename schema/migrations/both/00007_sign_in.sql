-- +goose Up
-- The refresh tokens of a session, in the order in which they were made. The
-- last that was not killed is the newest; it alone is good, but for a grace.
CREATE TABLE refresh_tokens (
    hash    bytea PRIMARY KEY,
    session uuid NOT NULL REFERENCES user_sessions ON DELETE CASCADE,
    seq     integer NOT NULL,
    parent  bytea,
    created timestamptz NOT NULL,
    used    timestamptz,
    killed  timestamptz,
    UNIQUE (session, seq)
);

-- Codes that were sent to a person. Each registration brings the password that
-- its own code puts in force, so that nobody's is put in force by another's.
CREATE TABLE codes (
    id       uuid PRIMARY KEY,
    user_id  uuid NOT NULL REFERENCES users,
    purpose  text NOT NULL,
    hash     bytea NOT NULL,
    password text,
    target   text,
    tries    integer NOT NULL DEFAULT 0,
    created  timestamptz NOT NULL,
    expires  timestamptz NOT NULL
);
CREATE INDEX codes_user ON codes (user_id, purpose, id);

-- Guesses at a password or a code that were not right, by the keyed hash of what
-- they were made at or came from.
CREATE TABLE guesses (
    target bytea PRIMARY KEY,
    count  integer NOT NULL,
    last   timestamptz NOT NULL,
    until  timestamptz NOT NULL
);
CREATE INDEX guesses_last ON guesses (last);

-- step is the last time step of which a code was taken (RFC 6238): none is taken
-- twice.
CREATE TABLE totps (
    user_id   uuid PRIMARY KEY REFERENCES users,
    secret    bytea NOT NULL,
    confirmed timestamptz,
    step      bigint NOT NULL DEFAULT 0
);

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users,
    hash    bytea NOT NULL,
    used    timestamptz,
    PRIMARY KEY (user_id, hash)
);
