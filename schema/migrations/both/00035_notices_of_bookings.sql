-- +goose Up
-- What a notice is about, and the name of what it tells of: by that a person is told
-- it once by each channel, however often the job is run that tells.
ALTER TABLE notices ADD COLUMN booking uuid;
ALTER TABLE notices ADD COLUMN once text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX notices_once ON notices (once, channel, coalesce(user_id, '00000000-0000-0000-0000-000000000000'))
    WHERE once <> '';
