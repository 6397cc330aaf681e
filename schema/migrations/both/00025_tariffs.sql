-- +goose Up
-- Every edition of the tariff. The newest counts; without one, the one that the
-- hub comes with, which is the first.
CREATE TABLE tariffs (
    version integer PRIMARY KEY CHECK (version > 1),
    body    jsonb NOT NULL,
    set_by  uuid REFERENCES users,
    since   timestamptz NOT NULL
);
