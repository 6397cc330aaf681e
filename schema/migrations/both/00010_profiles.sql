-- +goose Up
-- What a user says of themselves besides their name. version counts the changes:
-- it is the ETag by which two who change at once find each other. What was never
-- saved has version 1.
CREATE TABLE profiles (
    user_id  uuid PRIMARY KEY REFERENCES users,
    version  bigint NOT NULL,
    title    text NOT NULL,
    language text NOT NULL,
    zone     text NOT NULL,
    changed  timestamptz NOT NULL
);

-- form says which version of the JSON Schema the document was filled in by.
CREATE TABLE preferences (
    user_id  uuid PRIMARY KEY REFERENCES users,
    version  bigint NOT NULL,
    form     integer NOT NULL,
    document jsonb NOT NULL,
    changed  timestamptz NOT NULL
);

-- The security assessment: its steps by name, some of them sealed. The risk band
-- is in clear, because officers are matched by it.
CREATE TABLE questionnaires (
    user_id   uuid PRIMARY KEY REFERENCES users,
    version   bigint NOT NULL,
    form      integer NOT NULL,
    answers   jsonb NOT NULL,
    risk_band text CHECK (risk_band IN ('green', 'yellow', 'orange', 'red')),
    completed timestamptz,
    changed   timestamptz NOT NULL
);

-- Who is told when something happens to a user. Who it is, is sealed.
CREATE TABLE contacts (
    id       uuid PRIMARY KEY,
    user_id  uuid NOT NULL REFERENCES users,
    sealed   bytea NOT NULL,
    state    text NOT NULL CHECK (state IN ('invited', 'opted_in', 'declined')),
    answered timestamptz,
    created  timestamptz NOT NULL,
    changed  timestamptz NOT NULL
);
CREATE INDEX contacts_of_user ON contacts (user_id, created);

-- The invitations outlive their contact: by them a stranger's "no" is remembered,
-- and nobody is written to again and again. token and address are keyed hashes.
CREATE TABLE contact_invitations (
    token    bytea PRIMARY KEY,
    contact  uuid REFERENCES contacts ON DELETE SET NULL,
    user_id  uuid NOT NULL REFERENCES users,
    address  bytea NOT NULL,
    sent     timestamptz NOT NULL,
    expires  timestamptz NOT NULL,
    declined timestamptz
);
CREATE INDEX contact_invitations_of_user ON contact_invitations (user_id, sent);
CREATE INDEX contact_invitations_to ON contact_invitations (address, sent);
CREATE INDEX contact_invitations_for ON contact_invitations (contact);

CREATE TABLE addresses (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    sealed  bytea NOT NULL,
    created timestamptz NOT NULL,
    changed timestamptz NOT NULL
);
CREATE INDEX addresses_of_user ON addresses (user_id, created);
