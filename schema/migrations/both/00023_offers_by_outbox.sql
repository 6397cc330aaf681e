-- +goose Up
-- A command with a driver is for whoever that driver is, and not for the app of
-- one device: it is published on the driver's topic, and its PUBACK acknowledges
-- it. One with an offer is that offer's way to the officer: its acknowledgement
-- says that the offer has been delivered.
ALTER TABLE commands ADD COLUMN driver uuid REFERENCES drivers;
ALTER TABLE commands ADD COLUMN offer uuid REFERENCES offers;
