-- +goose Up
-- When a device's clocks are more than 24.8 days apart, an offset in
-- milliseconds does not fit points' 4 bytes: the true times are here.
CREATE TABLE points_far (
    device   integer     NOT NULL,
    fix      timestamptz NOT NULL,
    lat      integer     NOT NULL,
    lon      integer     NOT NULL,
    sent     timestamptz,
    received timestamptz NOT NULL,
    PRIMARY KEY (device, fix, lat, lon)
);

-- Fixes dated outside what points takes, by the day they were received: a
-- device with a broken clock makes no partitions, and its points outlive it.
CREATE TABLE points_quarantine (
    received timestamptz NOT NULL,
    fix      timestamptz NOT NULL,
    sent     timestamptz,
    device   integer     NOT NULL,
    lat      integer     NOT NULL,
    lon      integer     NOT NULL,
    accuracy real,
    speed    real,
    heading  real,
    altitude real,
    battery  real,
    verdict  smallint    NOT NULL,
    format   smallint    NOT NULL,
    flags    smallint    NOT NULL
) PARTITION BY RANGE (received);
CREATE INDEX points_quarantine_key ON points_quarantine (device, fix, lat, lon);
CREATE TABLE points_quarantine_default PARTITION OF points_quarantine DEFAULT;

-- What a person or a report reads: degrees, metres, metres a second, times.
-- Filter by device and fix: there is no other index.
CREATE VIEW telemetry AS
SELECT d.id AS device,
       d.name AS device_name,
       p.fix,
       CASE p.sent
           WHEN -2147483648 THEN NULL
           WHEN -2147483647 THEN (SELECT f.sent FROM points_far f
                                  WHERE (f.device, f.fix, f.lat, f.lon) = (p.device, p.fix, p.lat, p.lon))
           ELSE p.fix + p.sent * INTERVAL '1 ms' END AS sent,
       CASE p.received
           WHEN -2147483647 THEN (SELECT f.received FROM points_far f
                                  WHERE (f.device, f.fix, f.lat, f.lon) = (p.device, p.fix, p.lat, p.lon))
           ELSE p.fix + p.received * INTERVAL '1 ms' END AS received,
       p.lat / 1e7::float8 AS lat,
       p.lon / 1e7::float8 AS lon,
       nullif(p.accuracy, -32768) / 10::real  AS accuracy,
       nullif(p.speed,    -32768) / 100::real AS speed,
       nullif(p.heading,  -32768) / 10::real  AS heading,
       nullif(p.altitude, -32768) / 5::real   AS altitude,
       nullif(p.battery,  -32768) / 1000::real AS battery,
       (ARRAY['ok','inaccurate','impossible_jump','future','stale','null_island','mock'])[(p.meta & 15) + 1] AS verdict,
       (ARRAY['json','protobuf','owntracks','teltonika','flespi','thingsboard','geojson','osmand'])[((p.meta::integer >> 4) & 15) + 1] AS format,
       (p.meta::integer >> 8) & 255 AS flags
FROM points p JOIN devices d ON d.number = p.device;

-- The same columns for what is in quarantine.
CREATE VIEW telemetry_quarantine AS
SELECT d.id AS device, d.name AS device_name, q.fix, q.sent, q.received,
       q.lat / 1e7::float8 AS lat, q.lon / 1e7::float8 AS lon,
       q.accuracy, q.speed, q.heading, q.altitude, q.battery,
       (ARRAY['ok','inaccurate','impossible_jump','future','stale','null_island','mock'])[q.verdict + 1] AS verdict,
       (ARRAY['json','protobuf','owntracks','teltonika','flespi','thingsboard','geojson','osmand'])[q.format + 1] AS format,
       q.flags::integer AS flags
FROM points_quarantine q JOIN devices d ON d.number = q.device;

-- Each device's hours, as of the last refresh. Speeds are those of ok fixes, in
-- metres a second.
CREATE VIEW points_hourly AS
SELECT d.id AS device, r.hour, r.ok, r.junk, r.first_fix, r.last_fix,
       r.max_speed / 100::real AS max_speed,
       (r.speed_sum / 100::float8 / nullif(r.speed_count, 0))::real AS avg_speed
FROM points_rollup r JOIN devices d ON d.number = r.device;
