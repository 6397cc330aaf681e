-- +goose Up
-- Only a driver's time is excluded by GiST: equality of a uuid is what it lacks.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- The mirror of the transition table in fleet.
CREATE TABLE booking_moves (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO booking_moves VALUES
    ('scheduled', 'searching'), ('scheduled', 'assigned'), ('scheduled', 'cancelled'), ('scheduled', 'unfulfilled'),
    ('searching', 'scheduled'), ('searching', 'offered'), ('searching', 'assigned'), ('searching', 'cancelled'), ('searching', 'unfulfilled'),
    ('offered', 'scheduled'), ('offered', 'searching'), ('offered', 'assigned'), ('offered', 'cancelled'), ('offered', 'unfulfilled'),
    ('assigned', 'searching'), ('assigned', 'en_route'), ('assigned', 'cancelled'),
    ('en_route', 'searching'), ('en_route', 'arrived'), ('en_route', 'cancelled'),
    ('arrived', 'searching'), ('arrived', 'in_progress'), ('arrived', 'cancelled'), ('arrived', 'no_show'),
    ('in_progress', 'completed');

CREATE TABLE quotes (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users,
    created     timestamptz NOT NULL,
    expires     timestamptz NOT NULL,
    starts      timestamptz NOT NULL,
    zone        text NOT NULL,
    local_start text NOT NULL,
    minutes     integer NOT NULL CHECK (minutes > 0),
    asked       jsonb NOT NULL,
    tariff      jsonb NOT NULL,
    price       jsonb NOT NULL,
    total       bigint NOT NULL CHECK (total >= 0),
    currency    text NOT NULL,
    metres      integer NOT NULL,
    member      boolean NOT NULL
);
CREATE INDEX quotes_user ON quotes (user_id, expires);
CREATE INDEX quotes_expires ON quotes (expires);

CREATE TABLE booking_series (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    rule    jsonb NOT NULL,
    created timestamptz NOT NULL,
    ended   timestamptz
);
CREATE INDEX booking_series_user ON booking_series (user_id, id);

-- asked is what the principal wants, but for the columns that statements look at.
-- seq numbers the booking's events; whoever writes one has the row's lock.
-- since is when it came to its status, sought since when an officer is looked for.
CREATE TABLE bookings (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users,
    series_id   uuid REFERENCES booking_series,
    status      text NOT NULL CHECK (status IN ('scheduled', 'searching', 'offered', 'assigned', 'en_route', 'arrived', 'in_progress',
                                                'completed', 'cancelled', 'no_show', 'unfulfilled')),
    version     bigint NOT NULL DEFAULT 1,
    seq         bigint NOT NULL DEFAULT 0,
    starts      timestamptz NOT NULL,
    zone        text NOT NULL,
    local_start text NOT NULL,
    minutes     integer NOT NULL CHECK (minutes > 0),
    asked       jsonb NOT NULL,
    tariff      jsonb NOT NULL,
    price       jsonb NOT NULL,
    total       bigint NOT NULL CHECK (total >= 0),
    currency    text NOT NULL,
    metres      integer NOT NULL,
    member      boolean NOT NULL,
    created     timestamptz NOT NULL,
    since       timestamptz NOT NULL,
    funded      timestamptz,
    sought      timestamptz,
    en_route    timestamptz,
    arrived     timestamptz,
    started     timestamptz,
    ended       timestamptz,
    ended_by    text NOT NULL DEFAULT '',
    end_reason  text NOT NULL DEFAULT '',
    fee         bigint NOT NULL DEFAULT 0 CHECK (fee >= 0),
    CHECK (funded IS NOT NULL OR status IN ('scheduled', 'cancelled')),
    CHECK ((sought IS NOT NULL) = (status IN ('searching', 'offered'))),
    CHECK (status NOT IN ('en_route', 'arrived', 'in_progress', 'completed', 'no_show') OR en_route IS NOT NULL),
    CHECK (status NOT IN ('arrived', 'in_progress', 'completed', 'no_show') OR arrived IS NOT NULL),
    CHECK (status NOT IN ('in_progress', 'completed') OR started IS NOT NULL),
    CHECK ((ended IS NOT NULL) = (status IN ('completed', 'cancelled', 'no_show', 'unfulfilled')))
);
CREATE INDEX bookings_user ON bookings (user_id, id);
CREATE INDEX bookings_open ON bookings (status, starts) WHERE ended IS NULL;
CREATE INDEX bookings_series ON bookings (series_id, starts) WHERE series_id IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION check_booking_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM booking_moves WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'a booking does not go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER booking_moves BEFORE UPDATE OF status ON bookings
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION check_booking_move();

-- during is the time of its officer that a seat takes, with travel and a buffer.
-- No officer's time is taken twice; at work is an officer on one seat.
CREATE TABLE booking_seats (
    id         uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    number     smallint NOT NULL CHECK (number BETWEEN 1 AND 10),
    state      text NOT NULL CHECK (state IN ('open', 'held', 'committed', 'active', 'released')),
    driver_id  uuid REFERENCES drivers,
    vehicle_id uuid REFERENCES vehicles,
    during     tstzrange CHECK (NOT isempty(during)),
    held_until timestamptz,
    relieves   uuid REFERENCES booking_seats,
    reason     text NOT NULL DEFAULT '',
    CHECK (state NOT IN ('held', 'committed', 'active') OR driver_id IS NOT NULL AND during IS NOT NULL),
    CHECK (state <> 'open' OR driver_id IS NULL),
    CHECK ((held_until IS NOT NULL) = (state = 'held')),
    EXCLUDE USING gist (driver_id WITH =, during WITH &&) WHERE (state IN ('held', 'committed', 'active'))
);
CREATE UNIQUE INDEX booking_seats_number ON booking_seats (booking_id, number) WHERE state <> 'released' AND relieves IS NULL;
CREATE UNIQUE INDEX booking_seats_relief ON booking_seats (relieves) WHERE state <> 'released';
CREATE UNIQUE INDEX booking_seats_active ON booking_seats (driver_id) WHERE state = 'active';
CREATE UNIQUE INDEX booking_seats_once ON booking_seats (booking_id, driver_id) WHERE state IN ('held', 'committed', 'active');
CREATE INDEX booking_seats_booking ON booking_seats (booking_id, number);
CREATE INDEX booking_seats_driver ON booking_seats (driver_id, id) WHERE driver_id IS NOT NULL;
CREATE INDEX booking_seats_held ON booking_seats (held_until) WHERE state = 'held';

-- An officer is asked one thing at a time, and of a seat one officer.
CREATE TABLE offers (
    id         uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    seat_id    uuid NOT NULL REFERENCES booking_seats,
    driver_id  uuid NOT NULL REFERENCES drivers,
    state      text NOT NULL CHECK (state IN ('open', 'accepted', 'declined', 'expired', 'withdrawn')),
    reason     text NOT NULL DEFAULT '',
    created    timestamptz NOT NULL,
    delivered  timestamptz,
    expires    timestamptz NOT NULL,
    ended      timestamptz,
    pickup_s   integer NOT NULL CHECK (pickup_s >= 0),
    during     tstzrange NOT NULL CHECK (NOT isempty(during)),
    CHECK ((ended IS NULL) = (state = 'open'))
);
CREATE UNIQUE INDEX offers_driver_open ON offers (driver_id) WHERE state = 'open';
CREATE UNIQUE INDEX offers_seat_open ON offers (seat_id) WHERE state = 'open';
CREATE INDEX offers_driver ON offers (driver_id, id);
CREATE INDEX offers_booking ON offers (booking_id, id);

-- Officers who are not offered a booking (again), and why.
CREATE TABLE booking_exclusions (
    booking_id uuid NOT NULL REFERENCES bookings,
    driver_id  uuid NOT NULL REFERENCES drivers,
    reason     text NOT NULL,
    PRIMARY KEY (booking_id, driver_id)
);

-- A change of status is one that may be. booking_events is appended to only.
CREATE TABLE booking_events (
    booking_id  uuid NOT NULL REFERENCES bookings,
    seq         bigint NOT NULL,
    kind        text NOT NULL,
    from_status text,
    to_status   text,
    actor       text NOT NULL CHECK (actor IN ('principal', 'officer', 'ops', 'system')),
    actor_id    uuid REFERENCES users,
    occurred    timestamptz NOT NULL,
    at          timestamptz NOT NULL,
    data        jsonb,
    PRIMARY KEY (booking_id, seq),
    FOREIGN KEY (from_status, to_status) REFERENCES booking_moves
);

-- What an officer's app has told of a trip, by the id that the app gave it: a
-- repeat is answered as the first was. One that came too late for the state of
-- the trip waits for ops.
CREATE TABLE trip_commands (
    booking_id uuid NOT NULL REFERENCES bookings,
    id         uuid NOT NULL,
    driver_id  uuid REFERENCES drivers,
    kind       text NOT NULL,
    occurred   timestamptz NOT NULL,
    received   timestamptz NOT NULL,
    conflict   text NOT NULL DEFAULT '',
    resolved   timestamptz,
    resolution text NOT NULL DEFAULT '',
    PRIMARY KEY (booking_id, id)
);
CREATE INDEX trip_commands_conflict ON trip_commands (received) WHERE conflict <> '' AND resolved IS NULL;

-- Who dispatches an area. Each dispatcher that takes over raises the epoch, and
-- what one of an older epoch writes is refused.
CREATE TABLE dispatchers (
    area   text PRIMARY KEY,
    epoch  bigint NOT NULL,
    holder text NOT NULL,
    since  timestamptz NOT NULL
);
