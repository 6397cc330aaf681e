-- +goose Up
-- What is written on a trip. seq is that of the booking's event of kind message,
-- so a conversation and the rest of what happens on a trip have one order. client_id
-- was made up by the author: a message that is sent twice is one. What it says is
-- sealed.
CREATE TABLE chat_messages (
    booking_id uuid NOT NULL,
    seq        bigint NOT NULL,
    client_id  uuid NOT NULL,
    author     uuid NOT NULL REFERENCES users,
    wrote_as   text NOT NULL CHECK (wrote_as IN ('principal', 'officer', 'ops')),
    driver_id  uuid REFERENCES drivers,
    sealed     bytea NOT NULL,
    sent       timestamptz NOT NULL,
    PRIMARY KEY (booking_id, seq),
    FOREIGN KEY (booking_id, seq) REFERENCES booking_events,
    CHECK ((driver_id IS NOT NULL) = (wrote_as = 'officer'))
);
CREATE UNIQUE INDEX chat_messages_once ON chat_messages (booking_id, author, client_id);
CREATE INDEX chat_messages_author ON chat_messages (author);
CREATE INDEX chat_messages_driver ON chat_messages (driver_id) WHERE driver_id IS NOT NULL;

-- How far a conversation has come to each participant, by seq. pushed is the last
-- message of which their apps were pushed to.
CREATE TABLE chat_marks (
    booking_id   uuid NOT NULL REFERENCES bookings,
    user_id      uuid NOT NULL REFERENCES users,
    delivered    bigint NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    read         bigint NOT NULL DEFAULT 0,
    read_at      timestamptz,
    pushed       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (booking_id, user_id),
    CHECK (read <= delivered)
);
CREATE INDEX chat_marks_user ON chat_marks (user_id);
