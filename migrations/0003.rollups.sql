-- Rollups: what each base bucket held, computed from closed buckets of raw rows by one leader.
-- depends: 0002.raw

-- used_kw, shed_kw: sum over VENs of each VEN's mean; requested_kw: the same over readings that name an event.
CREATE TABLE network_power_1m (
    bucket timestamptz PRIMARY KEY,
    used_kw double precision NOT NULL,
    shed_kw double precision NOT NULL,
    requested_kw double precision,
    event_id text COLLATE "C",
    ven_count integer NOT NULL
);

CREATE TABLE network_power_5m (LIKE network_power_1m INCLUDING ALL);

CREATE TABLE ven_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    readings integer NOT NULL,
    used_sum_kw double precision NOT NULL,
    shed_sum_kw double precision NOT NULL,
    requested_kw double precision,
    event_id text COLLATE "C",
    PRIMARY KEY (ven_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE TABLE load_power_5m (
    ven_id text COLLATE "C" NOT NULL,
    load_id text COLLATE "C" NOT NULL,
    bucket timestamptz NOT NULL,
    readings integer NOT NULL,
    used_sum_kw double precision NOT NULL,
    shed_sum_kw double precision NOT NULL,
    PRIMARY KEY (ven_id, load_id, bucket)
) PARTITION BY RANGE (bucket);

CREATE INDEX ven_power_5m_bucket ON ven_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX load_power_5m_bucket ON load_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);

-- One row. closing: writers mark what they store before it as dirty; watermark (<= closing): buckets before
-- it are rolled up; raw_from: raw rows before it may be gone and are not taken any more.
CREATE TABLE rollup_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    closing timestamptz NOT NULL,
    watermark timestamptz NOT NULL,
    raw_from timestamptz NOT NULL
);

INSERT INTO rollup_state (closing, watermark, raw_from) VALUES ('-infinity', '-infinity', '-infinity');

-- Closed 5-minute buckets of a VEN that got rows after they were computed. Append-only: the leader deletes
-- just the ids it read before it computed.
CREATE TABLE dirty_buckets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket timestamptz NOT NULL,
    ven_id text COLLATE "C" NOT NULL
);

CREATE INDEX dirty_buckets_bucket ON dirty_buckets (bucket, ven_id);

-- The start of the bucket that `ts` lies in: of `width` from the Unix epoch, or, where buckets follow
-- a calendar, between two of the sorted `edges`.
CREATE FUNCTION bucket_of(ts timestamptz, width interval, edges timestamptz[]) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN edges IS NULL THEN date_bin(width, ts, '1970-01-01 00:00:00+00')
            ELSE edges[width_bucket(ts, edges)] END;

-- Makes the partition of `parent` for [starts, ends), named after `starts`, if it is not there. LIKE and then
-- ATTACH: PARTITION OF would wait for every open writer. The lock makes several sessions take turns; if the
-- partition is there, no lock is taken.
CREATE FUNCTION make_partition(parent regclass, starts timestamptz, ends timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent::text || '_' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(1701016949);
    IF to_regclass(partition) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', partition, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       parent, partition, starts, ends);
    END IF;
END
$$;

-- Makes both raw partitions of the UTC day that starts at `day`. Returns false and makes nothing for a day before
-- rollup_state.raw_from: its rows were dropped, and no more are taken. raw_from moves under the same lock.
CREATE FUNCTION make_raw_day(day timestamptz) RETURNS boolean
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

-- Makes both rollup partitions of the UTC month that `at` lies in.
CREATE FUNCTION make_rollup_month(at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
BEGIN
    PERFORM make_partition(parent, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC')
    FROM unnest('{ven_power_5m,load_power_5m}'::regclass[]) AS parent;
END
$$;
