-- +goose Up
-- The same table as on plain PostgreSQL (plain/00002_points.sql says why it is
-- packed so), with a chunk for each day.
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
);
SELECT create_hypertable('points', by_range('fix', INTERVAL '1 day'), create_default_indexes => false);
CREATE UNIQUE INDEX points_key ON points (device, fix, lat, lon);

-- A day goes to the columnstore once nothing is deleted from it by row any more.
ALTER TABLE points SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'device',
    timescaledb.orderby = 'fix'
);
CALL add_columnstore_policy('points', after => INTERVAL '2 days');

-- Migrate keeps drop_after equal to what the hub was told to keep.
SELECT add_retention_policy('points', drop_after => INTERVAL '30 days');

CREATE MATERIALIZED VIEW points_rollup
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT device,
       time_bucket(INTERVAL '1 hour', fix)                          AS hour,
       count(*) FILTER (WHERE (meta & 15) = 0)                      AS ok,
       count(*) FILTER (WHERE (meta & 15) <> 0)                     AS junk,
       min(fix)                                                     AS first_fix,
       max(fix)                                                     AS last_fix,
       max(speed) FILTER (WHERE (meta & 15) = 0 AND speed > -32768) AS max_speed,
       sum(speed) FILTER (WHERE (meta & 15) = 0 AND speed > -32768) AS speed_sum,
       count(*)   FILTER (WHERE (meta & 15) = 0 AND speed > -32768) AS speed_count
FROM points
GROUP BY 1, 2
WITH NO DATA;
