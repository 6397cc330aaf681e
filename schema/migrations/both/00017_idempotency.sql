-- +goose Up
-- Requests that were made under an Idempotency-Key, by the keyed hash of caller,
-- operation and key; what was answered is sealed under the key itself, which is
-- not here. reply is null while the first of them is under way.
CREATE TABLE idempotent_requests (
    id      bytea PRIMARY KEY,
    claim   uuid NOT NULL,
    request bytea NOT NULL,
    lease   timestamptz NOT NULL,
    created timestamptz NOT NULL,
    reply   bytea
);
CREATE INDEX idempotent_requests_created ON idempotent_requests (created);
