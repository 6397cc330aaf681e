-- +goose Up
-- One fix of one device, packed to 40 bytes behind a header of 24 (no column is
-- null, so there is no null bitmap). pack.go says what the numbers mean, the
-- view telemetry unpacks them. The unique index is a point's identity.
CREATE TABLE points (
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
    meta     smallint    NOT NULL
) PARTITION BY RANGE (fix);
CREATE UNIQUE INDEX points_key ON points (device, fix, lat, lon);

-- Days are made ahead by Maintenance. A fix of a day that was not made waits
-- here, is read like any other, and moves when its day is made.
CREATE TABLE points_default PARTITION OF points DEFAULT;

-- The hours of which points were stored since they were last rolled up; device
-- is null for "all". Rows are only ever added, in the transaction of their
-- points, and taken out by the refresh that sees those points.
CREATE TABLE points_dirty (
    hour   timestamptz NOT NULL,
    device integer
);

CREATE TABLE points_rollup (
    device      integer     NOT NULL,
    hour        timestamptz NOT NULL,
    ok          bigint      NOT NULL,
    junk        bigint      NOT NULL,
    first_fix   timestamptz NOT NULL,
    last_fix    timestamptz NOT NULL,
    max_speed   smallint,
    speed_sum   bigint,
    speed_count bigint      NOT NULL,
    PRIMARY KEY (hour, device)
);
