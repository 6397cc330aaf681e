-- +goose Up
-- An address belongs to one account. It is null once the account is erased, and
-- is somebody else's to take from then on.
CREATE TABLE users (
    id             uuid PRIMARY KEY,
    email          text UNIQUE CHECK (email = lower(email)),
    email_verified timestamptz,
    name           text NOT NULL,
    phone          text,
    phone_verified timestamptz,
    password       text,
    roles          text[] NOT NULL,
    restricted     boolean NOT NULL DEFAULT false,
    created        timestamptz NOT NULL,
    suspended      timestamptz,
    erased         timestamptz,
    CHECK (email IS NOT NULL OR erased IS NOT NULL),
    CHECK (roles <@ ARRAY['rider', 'driver', 'dispatcher', 'finance', 'compliance', 'admin', 'partner'])
);

CREATE TABLE user_sessions (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users,
    method        text NOT NULL,
    second_factor boolean NOT NULL,
    agent         text NOT NULL,
    address       text NOT NULL,
    created       timestamptz NOT NULL,
    authenticated timestamptz NOT NULL,
    used          timestamptz NOT NULL,
    expires       timestamptz NOT NULL,
    ended         timestamptz,
    end_reason    text NOT NULL DEFAULT ''
);
CREATE INDEX user_sessions_live ON user_sessions (user_id, created) WHERE ended IS NULL;

-- A protection officer signs in as this user.
ALTER TABLE drivers ADD COLUMN user_id uuid UNIQUE REFERENCES users;
