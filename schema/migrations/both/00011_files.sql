-- +goose Up
-- Private files. The content lies encrypted in the store of files, under the id;
-- key opens it, and is sealed. Deleting the row is what makes a file unreadable.
CREATE TABLE files (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    purpose    text NOT NULL CHECK (purpose IN ('avatar', 'document')),
    name       text NOT NULL,
    media_type text NOT NULL,
    size       bigint NOT NULL,
    sha256     bytea NOT NULL,
    key        bytea NOT NULL,
    created    timestamptz NOT NULL
);
CREATE INDEX files_of_user ON files (user_id, created);

ALTER TABLE profiles ADD COLUMN photo uuid REFERENCES files ON DELETE SET NULL;
CREATE INDEX profiles_photo ON profiles (photo);
