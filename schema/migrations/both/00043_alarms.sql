-- +goose Up
-- Ops are told of alarms, step by step, until somebody sees to them: how many steps
-- were taken, whether the rota is called, and who saw to it.
ALTER TABLE alerts
    ADD COLUMN steps           integer NOT NULL DEFAULT 0,
    ADD COLUMN calls           boolean NOT NULL DEFAULT false,
    ADD COLUMN acknowledged    timestamptz,
    ADD COLUMN acknowledged_by text NOT NULL DEFAULT '';
CREATE INDEX alerts_open_of ON alerts (booking_id, driver_id) WHERE closed IS NULL;

-- They are called, too.
ALTER TABLE notices DROP CONSTRAINT notices_channel;
ALTER TABLE notices ADD CONSTRAINT notices_channel CHECK
    (channel IN ('mail', 'sms', 'inbox', 'push', 'voice') AND (channel NOT IN ('inbox', 'push') OR user_id IS NOT NULL));
