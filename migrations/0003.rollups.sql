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
