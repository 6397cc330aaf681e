-- +goose Up
-- What a person reads in the app, whatever session they read it by.
ALTER TABLE notices DROP CONSTRAINT notices_channel_check;
ALTER TABLE notices ADD CHECK (channel IN ('mail', 'sms', 'inbox') AND (channel <> 'inbox' OR user_id IS NOT NULL));
CREATE INDEX notices_inbox ON notices (user_id, id) WHERE channel = 'inbox';
