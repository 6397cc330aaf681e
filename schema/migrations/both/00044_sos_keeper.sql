-- +goose Up
-- Of the hubs that share a database one calls people for an SOS: which, and until
-- when another does not take it over.
ALTER TABLE sos
    ADD COLUMN keeper     uuid,
    ADD COLUMN kept_until timestamptz;
