-- Back to means of closed five minutes: power is energy over covered time. Buckets of late readings become dirty.
CREATE TABLE old_network_power_1m (
    bucket timestamptz PRIMARY KEY,
    used_kw double precision NOT NULL,
    shed_kw double precision NOT NULL,
    requested_kw double precision,
    event_id text COLLATE "C",
    ven_count integer NOT NULL
);
CREATE TABLE old_network_power_5m (LIKE old_network_power_1m INCLUDING ALL);

INSERT INTO old_network_power_1m
SELECT bucket, used_uwh * 3.6 / 6e7, shed_uwh * 3.6 / 6e7, CASE WHEN event_us > 0 THEN requested_uwh * 3.6 / 6e7 END,
       event_id, round(covered_us / 6e7)
FROM network_power_1m
WHERE bucket < (SELECT date_bin('5 minutes', watermark, '1970-01-01 00:00:00+00') FROM rollup_state
                WHERE isfinite(watermark));

INSERT INTO old_network_power_5m
SELECT bucket, used_uwh * 3.6 / 3e8, shed_uwh * 3.6 / 3e8, CASE WHEN event_us > 0 THEN requested_uwh * 3.6 / 3e8 END,
       event_id, round(covered_us / 3e8)
FROM network_power_5m;

CREATE TABLE old_ven_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    readings integer NOT NULL,
    used_sum_kw double precision NOT NULL,
    shed_sum_kw double precision NOT NULL,
    requested_kw double precision,
    event_id text COLLATE "C",
    PRIMARY KEY (ven_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE TABLE old_load_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    load_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    readings integer NOT NULL,
    used_sum_kw double precision NOT NULL,
    shed_sum_kw double precision NOT NULL,
    PRIMARY KEY (ven_id, load_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE TEMPORARY TABLE old_vens ON COMMIT DROP AS SELECT * FROM ven_power_5m WHERE covered_us > 0;
CREATE TEMPORARY TABLE old_loads ON COMMIT DROP AS SELECT * FROM load_power_5m WHERE covered_us > 0;

DROP TABLE network_power_1m, network_power_5m, network_power_15m, ven_power_5m, ven_power_15m, load_power_5m,
           load_power_15m, ven_open, loads_open;

ALTER TABLE old_network_power_1m RENAME TO network_power_1m;
ALTER INDEX old_network_power_1m_pkey RENAME TO network_power_1m_pkey;
ALTER TABLE old_network_power_5m RENAME TO network_power_5m;
ALTER INDEX old_network_power_5m_pkey RENAME TO network_power_5m_pkey;
ALTER TABLE old_ven_power_5m RENAME TO ven_power_5m;
ALTER INDEX old_ven_power_5m_pkey RENAME TO ven_power_5m_pkey;
ALTER TABLE old_load_power_5m RENAME TO load_power_5m;
ALTER INDEX old_load_power_5m_pkey RENAME TO load_power_5m_pkey;
CREATE INDEX ven_power_5m_bucket ON ven_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX load_power_5m_bucket ON load_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);

CREATE OR REPLACE FUNCTION make_rollup_month(at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
BEGIN
    PERFORM make_partition(parent, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC')
    FROM unnest('{ven_power_5m,load_power_5m}'::regclass[]) AS parent;
END
$$;

CREATE OR REPLACE FUNCTION make_raw_day(day timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('ven_load_samples_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL THEN
        PERFORM pg_advisory_xact_lock(1701016949);
    END IF;
    IF day < (SELECT raw_from FROM rollup_state) THEN
        RETURN false;
    END IF;
    PERFORM make_partition('ven_telemetry', day, day + interval '24 hours');
    PERFORM make_partition('ven_load_samples', day, day + interval '24 hours');
    RETURN true;
END
$$;

DO $$
BEGIN
    PERFORM make_rollup_month(month)
    FROM (SELECT DISTINCT date_trunc('month', bucket, 'UTC') AS month FROM old_vens
          UNION SELECT DISTINCT date_trunc('month', bucket, 'UTC') FROM old_loads) AS months;
END
$$;

INSERT INTO ven_power_5m
SELECT ven_id, bucket, 1, used_uwh * 3.6 / covered_us, shed_uwh * 3.6 / covered_us,
       CASE WHEN event_us > 0 THEN requested_uwh * 3.6 / covered_us END, event_id
FROM old_vens;

INSERT INTO load_power_5m
SELECT ven_id, load_id, bucket, 1, used_uwh * 3.6 / covered_us, shed_uwh * 3.6 / covered_us
FROM old_loads;

CREATE TABLE dirty_buckets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket timestamptz NOT NULL,
    ven_id text COLLATE "C" NOT NULL
);
CREATE INDEX dirty_buckets_bucket ON dirty_buckets (bucket, ven_id);

INSERT INTO dirty_buckets (bucket, ven_id)
SELECT date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), ven_id FROM late_readings
UNION
SELECT date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), ven_id FROM late_lists;

DROP TABLE late_readings, late_lists;
DROP FUNCTION energy;
DROP FUNCTION us_between;
DROP VIEW hold_spans;
DROP TABLE holds;

-- Old versions go on from the end of the last whole five minutes for which VENs and loads are counted.
DELETE FROM ven_power_5m WHERE bucket >= (SELECT date_bin('5 minutes', least(watermark, loads_watermark),
    '1970-01-01 00:00:00+00') FROM rollup_state WHERE isfinite(watermark));
DELETE FROM network_power_1m WHERE bucket >= (SELECT date_bin('5 minutes', least(watermark, loads_watermark),
    '1970-01-01 00:00:00+00') FROM rollup_state WHERE isfinite(watermark));
DELETE FROM network_power_5m WHERE bucket >= (SELECT date_bin('5 minutes', least(watermark, loads_watermark),
    '1970-01-01 00:00:00+00') FROM rollup_state WHERE isfinite(watermark));

UPDATE rollup_state SET
    watermark = CASE WHEN isfinite(watermark)
        THEN date_bin('5 minutes', least(watermark, loads_watermark), '1970-01-01 00:00:00+00') ELSE watermark END,
    raw_from = CASE WHEN isfinite(raw_from)
        THEN date_trunc('day', raw_from, 'UTC') + interval '1 day' ELSE raw_from END;

ALTER TABLE rollup_state
    DROP COLUMN loads_watermark, DROP COLUMN history_from, DROP COLUMN loads_history_from, DROP COLUMN fine_from,
    DROP COLUMN coarse_from, DROP COLUMN loads_from, DROP COLUMN first_at;
ALTER TABLE ven_telemetry DROP COLUMN lists_loads;
