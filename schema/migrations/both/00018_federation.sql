-- +goose Up
-- Who somebody is at a provider of OpenID Connect. A provider says the same
-- subject of the same person for ever; the address may change, and proves nothing.
CREATE TABLE linked_identities (
    id       uuid PRIMARY KEY,
    user_id  uuid NOT NULL REFERENCES users,
    provider text NOT NULL,
    issuer   text NOT NULL,
    subject  text NOT NULL,
    email    text NOT NULL,
    created  timestamptz NOT NULL,
    used     timestamptz NOT NULL,
    UNIQUE (issuer, subject)
);
CREATE INDEX linked_identities_user ON linked_identities (user_id);

-- Sign-ins at a provider that are under way: found by the keyed hash of the state
-- while the person is at the provider, and by that of a one-time code after it.
-- secrets and outcome are sealed.
CREATE TABLE oidc_flows (
    state     bytea PRIMARY KEY,
    provider  text NOT NULL,
    secrets   bytea NOT NULL,
    redirect  text NOT NULL,
    challenge text NOT NULL,
    app_state text NOT NULL,
    expires   timestamptz NOT NULL,
    returned  boolean NOT NULL DEFAULT false,
    code      bytea UNIQUE,
    outcome   bytea
);
CREATE INDEX oidc_flows_expires ON oidc_flows (expires);

-- Id tokens that were taken from apps, by keyed hash: none is taken twice.
CREATE TABLE oidc_tokens_taken (
    hash    bytea PRIMARY KEY,
    expires timestamptz NOT NULL
);
CREATE INDEX oidc_tokens_taken_expires ON oidc_tokens_taken (expires);

-- Systems of partners (OAuth2 client credentials). The secret before the last is
-- good until previous_until.
CREATE TABLE partners (
    id              uuid PRIMARY KEY,
    name            text NOT NULL,
    scopes          text[] NOT NULL,
    secret          bytea NOT NULL,
    previous_secret bytea,
    previous_until  timestamptz,
    created         timestamptz NOT NULL,
    rotated         timestamptz NOT NULL,
    revoked         timestamptz
);
