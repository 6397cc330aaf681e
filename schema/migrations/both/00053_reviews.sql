-- +goose Up
-- Who may read the words of a rating: staff alone (private), until its author lets other
-- principals (waiting) and staff have read it (shown, or refused for good).
ALTER TABLE booking_ratings ADD COLUMN review text NOT NULL DEFAULT 'private'
    CHECK (review IN ('private', 'waiting', 'shown', 'refused'));
CREATE INDEX booking_ratings_waiting ON booking_ratings (booking_id) WHERE review = 'waiting';
