-- +goose Up
-- Whom an officer would replace who is asked for a seat that somebody has.
ALTER TABLE offers ADD COLUMN replaces uuid REFERENCES drivers;
