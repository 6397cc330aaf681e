-- +goose Up
-- What must not be deleted, whatever its age. The points of a hold are those with
-- a fix from since up to until.
CREATE TABLE legal_holds (
    id          uuid PRIMARY KEY,
    user_id     uuid REFERENCES users,
    device      uuid REFERENCES devices,
    since       timestamptz NOT NULL,
    until       timestamptz,
    reason      text NOT NULL,
    placed_by   text NOT NULL,
    placed      timestamptz NOT NULL,
    released_by text NOT NULL DEFAULT '',
    released    timestamptz,
    CHECK (num_nonnulls(user_id, device) = 1),
    CHECK (until > since)
);
CREATE INDEX legal_holds_standing ON legal_holds (id) WHERE released IS NULL;

-- Points that a hold keeps, copied here before they leave points: a row of points
-- for each hold that covers it. They go once their hold is released.
CREATE TABLE points_evidence (
    fix      timestamptz NOT NULL,
    device   integer     NOT NULL,
    lat      integer     NOT NULL,
    lon      integer     NOT NULL,
    received integer     NOT NULL,
    sent     integer     NOT NULL,
    accuracy smallint    NOT NULL,
    speed    smallint    NOT NULL,
    heading  smallint    NOT NULL,
    altitude smallint    NOT NULL,
    battery  smallint    NOT NULL,
    meta     smallint    NOT NULL,
    hold     uuid        NOT NULL REFERENCES legal_holds,
    PRIMARY KEY (device, fix, lat, lon, hold)
);
CREATE INDEX points_evidence_hold ON points_evidence (hold);
