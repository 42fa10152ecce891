-- Power as an integral: rollups hold energy and covered time, which add up over time, VENs and granularities.
-- docs/architecture.md, "Meaning of the numbers" and "Rollups", says what each number is and who writes it when.
-- depends: 0005.api-role

-- Whether the reading has a list of the VEN's loads (an empty list counts): a list ends all samples before it.
-- Readings stored before this column count as listing them.
ALTER TABLE ven_telemetry ADD COLUMN lists_loads boolean NOT NULL DEFAULT true;

-- How long a reading speaks, by the reading's own time. The leader adds a row when VEN_OFFLINE_AFTER has changed.
CREATE TABLE holds (
    since timestamptz PRIMARY KEY,
    hold interval NOT NULL CHECK (hold > interval '0' AND hold <= interval '1 day')
);

INSERT INTO holds VALUES ('-infinity', interval '960 seconds');

-- So that the planner knows that the table has few rows.
ANALYZE holds;

CREATE VIEW hold_spans AS
SELECT since, lead(since, 1, 'infinity') OVER (ORDER BY since) AS before, hold
FROM holds;

-- Whole us from one time to another.
CREATE FUNCTION us_between(starts timestamptz, ends timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(date_part('epoch', ends - starts) * 1000000);

-- Energy in uWh (1e-9 kWh) of `kw` for `us` us. The piece [a, b) of a reading at s has energy(kw, b - s) -
-- energy(kw, a - s). So it makes no difference where a span is cut, and sums are exact.
CREATE FUNCTION energy(kw double precision, us double precision) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(kw * us / 3.6)::bigint;

DO $$
DECLARE
    old text;
BEGIN
    FOR old IN
        SELECT relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i', 'p', 'I')
          AND relname ~ '^(network_power_[15]m|ven_power_5m|load_power_5m)'
    LOOP
        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass(quote_ident(old))) IN ('r', 'p') THEN
            EXECUTE format('ALTER TABLE %I RENAME TO %I', old, 'old_' || old);
        ELSE
            EXECUTE format('ALTER INDEX %I RENAME TO %I', old, 'old_' || old);
        END IF;
    END LOOP;
END
$$;

-- Of one VEN in one bucket. used_uwh, shed_uwh: energies in uWh; requested_uwh, event_us: energy asked for, and
-- time covered, by readings that name an event; covered_us: the time for which a reading speaks; event_id: the
-- greatest of the readings that lie in the bucket.
CREATE TABLE ven_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    used_uwh bigint NOT NULL,
    shed_uwh bigint NOT NULL,
    requested_uwh bigint NOT NULL,
    covered_us bigint NOT NULL,
    event_us bigint NOT NULL,
    event_id text COLLATE "C",
    PRIMARY KEY (ven_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE INDEX ven_power_5m_bucket ON ven_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE ven_power_15m (LIKE ven_power_5m INCLUDING ALL) PARTITION BY RANGE (bucket);

CREATE TABLE load_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    load_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    used_uwh bigint NOT NULL,
    shed_uwh bigint NOT NULL,
    covered_us bigint NOT NULL,
    PRIMARY KEY (ven_id, load_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE INDEX load_power_5m_bucket ON load_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE load_power_15m (LIKE load_power_5m INCLUDING ALL) PARTITION BY RANGE (bucket);

-- The sums over all VENs. A minute may be in part: it holds what lies before the watermark.
CREATE TABLE network_power_1m (
    bucket timestamptz PRIMARY KEY,
    used_uwh bigint NOT NULL,
    shed_uwh bigint NOT NULL,
    requested_uwh bigint NOT NULL,
    covered_us bigint NOT NULL,
    event_us bigint NOT NULL,
    event_id text COLLATE "C"
) WITH (fillfactor = 70);

CREATE TABLE network_power_5m (LIKE network_power_1m INCLUDING ALL);
CREATE TABLE network_power_15m (LIKE network_power_1m INCLUDING ALL);

-- One row a VEN that reported lately: its last counted reading before the watermark, which speaks until `until`,
-- and its sums of the five minutes that begin at `bucket`, as far as `upto`. What the reading says from `upto` on
-- is not in them yet, so that the row of a silent VEN need not be updated.
CREATE TABLE ven_open (
    ven_id text COLLATE "C" PRIMARY KEY,
    ts timestamptz NOT NULL,
    until timestamptz NOT NULL,
    used_kw double precision NOT NULL,
    shed_kw double precision NOT NULL,
    requested_kw double precision,
    upto timestamptz NOT NULL,
    bucket timestamptz NOT NULL,
    used_uwh bigint NOT NULL,
    shed_uwh bigint NOT NULL,
    requested_uwh bigint NOT NULL,
    covered_us bigint NOT NULL,
    event_us bigint NOT NULL,
    event_id text COLLATE "C"
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.5);

-- The last counted list of loads of each VEN before the loads' watermark.
CREATE TABLE loads_open (
    ven_id text COLLATE "C" PRIMARY KEY,
    ts timestamptz NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 70);

-- Readings that the sums do not hold yet, because their time was counted before they came. Their writer adds the row
-- in its own transaction; the leader deletes the row in the transaction that counts the reading.
CREATE TABLE late_readings (
    ven_id text COLLATE "C" NOT NULL,
    ts timestamptz NOT NULL,
    PRIMARY KEY (ven_id, ts)
);
CREATE INDEX late_readings_ts ON late_readings (ts);

-- The same of lists of loads, which are counted apart. A list may come as a second part of a reading.
CREATE TABLE late_lists (LIKE late_readings INCLUDING ALL);

-- closing: writers note as late what they store before it. watermark (<= closing): VENs and the network are counted
-- up to here; loads_watermark (<= watermark): loads are. history_from: everything from here on is counted exactly; what
-- is before it was carried over from old rollups, until the leader counts it again; loads_history_from: the same for
-- loads. raw_from: raw rows before it are not taken any more, and those of a hold before it are kept. fine_from,
-- coarse_from, loads_from: where the tiers up to 5 minutes, the 15-minute tiers, and that of loads begin. first_at: the
-- network's first reading.
ALTER TABLE rollup_state
    ADD COLUMN loads_watermark timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN history_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN loads_history_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN fine_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN coarse_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN loads_from timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN first_at timestamptz NOT NULL DEFAULT 'infinity';

CREATE OR REPLACE FUNCTION make_rollup_month(at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
BEGIN
    PERFORM make_partition(parent, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC')
    FROM unnest('{ven_power_5m,ven_power_15m,load_power_5m,load_power_15m}'::regclass[]) AS parent;
END
$$;

-- A day that ends after raw_from still takes rows: those from raw_from on.
CREATE OR REPLACE FUNCTION make_raw_day(day timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('ven_load_samples_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL THEN
        PERFORM pg_advisory_xact_lock(1701016949);
    END IF;
    IF day + interval '24 hours' <= (SELECT raw_from FROM rollup_state) THEN
        RETURN false;
    END IF;
    PERFORM make_partition('ven_telemetry', day, day + interval '24 hours');
    PERFORM make_partition('ven_load_samples', day, day + interval '24 hours');
    RETURN true;
END
$$;

-- Old rollups are carried over as mean power times width, covered throughout. The leader counts again what lies after
-- raw_from, backwards from the watermark, while everything runs.
DO $$
BEGIN
    PERFORM make_rollup_month(month)
    FROM (SELECT DISTINCT date_trunc('month', bucket, 'UTC') AS month FROM old_ven_power_5m
          UNION SELECT DISTINCT date_trunc('month', bucket, 'UTC') FROM old_load_power_5m) AS months;
END
$$;

INSERT INTO ven_power_5m
SELECT ven_id, bucket, round(used_sum_kw / readings * 3e8 / 3.6), round(shed_sum_kw / readings * 3e8 / 3.6),
       coalesce(round(requested_kw * 3e8 / 3.6), 0), 300000000,
       CASE WHEN requested_kw IS NOT NULL THEN 300000000 ELSE 0 END, event_id
FROM old_ven_power_5m;

INSERT INTO ven_power_15m
SELECT ven_id, date_bin('15 minutes', bucket, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh),
       sum(requested_uwh), sum(covered_us), sum(event_us), max(event_id)
FROM ven_power_5m
GROUP BY 1, 2;

INSERT INTO load_power_5m
SELECT ven_id, load_id, bucket, round(used_sum_kw / readings * 3e8 / 3.6), round(shed_sum_kw / readings * 3e8 / 3.6),
       300000000
FROM old_load_power_5m;

INSERT INTO load_power_15m
SELECT ven_id, load_id, date_bin('15 minutes', bucket, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh),
       sum(covered_us)
FROM load_power_5m
GROUP BY 1, 2, 3;

INSERT INTO network_power_1m
SELECT bucket, round(used_kw * 6e7 / 3.6), round(shed_kw * 6e7 / 3.6), coalesce(round(requested_kw * 6e7 / 3.6), 0),
       ven_count * 60000000::bigint, CASE WHEN requested_kw IS NOT NULL THEN ven_count * 60000000::bigint ELSE 0 END,
       event_id
FROM old_network_power_1m;

INSERT INTO network_power_5m
SELECT bucket, sum(used_uwh), sum(shed_uwh), sum(requested_uwh), sum(covered_us), sum(event_us), max(event_id)
FROM ven_power_5m
GROUP BY 1;

INSERT INTO network_power_15m
SELECT bucket, sum(used_uwh), sum(shed_uwh), sum(requested_uwh), sum(covered_us), sum(event_us), max(event_id)
FROM ven_power_15m
GROUP BY 1;

-- The watermark was at the end of five minutes. The 15-minute rows of its quarter are written when that quarter ends.
DELETE FROM ven_power_15m r USING rollup_state s WHERE r.bucket + interval '15 minutes' > s.watermark;
DELETE FROM load_power_15m r USING rollup_state s WHERE r.bucket + interval '15 minutes' > s.watermark;
DELETE FROM network_power_15m r USING rollup_state s WHERE r.bucket + interval '15 minutes' > s.watermark;

INSERT INTO ven_open
SELECT DISTINCT ON (t.ven_id) t.ven_id, t.ts, t.ts + interval '960 seconds', t.used_power_kw, t.shed_power_kw,
       CASE WHEN t.event_id IS NOT NULL THEN coalesce(t.requested_reduction_kw, 0) END,
       s.watermark, s.watermark, 0, 0, 0, 0, 0, NULL
FROM rollup_state s
JOIN ven_telemetry t ON t.ts >= s.watermark - interval '960 seconds' AND t.ts < s.watermark
WHERE isfinite(s.watermark)
ORDER BY t.ven_id, t.ts DESC;

INSERT INTO loads_open
SELECT ven_id, max(t.ts), max(t.ts) + interval '960 seconds'
FROM rollup_state s
JOIN ven_telemetry t ON t.ts >= s.watermark - interval '960 seconds' AND t.ts < s.watermark
WHERE isfinite(s.watermark)
GROUP BY ven_id;

UPDATE rollup_state SET
    loads_watermark = watermark,
    history_from = watermark,
    loads_history_from = watermark,
    fine_from = coalesce((SELECT min(bucket) FROM network_power_5m), '-infinity'),
    coarse_from = coalesce((SELECT min(bucket) FROM network_power_15m), '-infinity'),
    loads_from = coalesce((SELECT min(bucket) FROM load_power_15m), '-infinity'),
    raw_from = CASE WHEN isfinite(raw_from) THEN raw_from + interval '960 seconds' ELSE raw_from END,
    first_at = coalesce(least((SELECT min(bucket) FROM network_power_5m), (SELECT min(ts) FROM ven_telemetry)),
                        'infinity');

DROP TABLE old_network_power_1m, old_network_power_5m, old_ven_power_5m, old_load_power_5m;
DROP TABLE dirty_buckets;
