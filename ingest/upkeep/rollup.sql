-- Raw rows to rollups. The meaning of each number is in docs/architecture.md; api/queries.sql applies the same
-- to raw rows that are not rolled up yet.

-- name: lock_rollups
-- One at a time, the leader or a rebuild, works on rollups; until the transaction ends.
SELECT pg_advisory_xact_lock(1919905900)

-- name: close_buckets
-- $1: buckets before this are closed from now on
UPDATE rollup_state SET closing = $1 WHERE closing < $1

-- name: newest_transaction
SELECT pg_snapshot_xmax(pg_current_snapshot())::text

-- name: transactions_ended
-- $1: a transaction id → whether all before it have ended
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8

-- name: state
SELECT closing, watermark, raw_from, isfinite(watermark) AS begun FROM rollup_state

-- name: first_reading
-- $1: not before → the first raw reading's time
SELECT min(ts) FROM ven_telemetry WHERE ts >= $1

-- name: make_rollup_month
-- $1: a time in the month
SELECT make_rollup_month($1)

-- name: rollup_network_1m
-- $1, $2: from, until
INSERT INTO network_power_1m (bucket, used_kw, shed_kw, requested_kw, event_id, ven_count)
SELECT bucket, sum(used_kw), sum(shed_kw), sum(requested_kw), max(event_id), count(*)
FROM (
    SELECT date_bin('1 minute', ts, '1970-01-01 00:00:00+00') AS bucket, ven_id,
           avg(used_power_kw) AS used_kw, avg(shed_power_kw) AS shed_kw,
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL) AS requested_kw, max(event_id) AS event_id
    FROM ven_telemetry
    WHERE ts >= $1 AND ts < $2
    GROUP BY 1, 2
) AS vens
GROUP BY bucket

-- name: rollup_vens_and_network_5m
-- $1, $2: from, until
WITH vens AS (
    INSERT INTO ven_power_5m (ven_id, bucket, readings, used_sum_kw, shed_sum_kw, requested_kw, event_id)
    SELECT ven_id, date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), count(*), sum(used_power_kw), sum(shed_power_kw),
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
    FROM ven_telemetry
    WHERE ts >= $1 AND ts < $2
    GROUP BY 1, 2
    RETURNING *
)
INSERT INTO network_power_5m (bucket, used_kw, shed_kw, requested_kw, event_id, ven_count)
SELECT bucket, sum(used_sum_kw / readings), sum(shed_sum_kw / readings), sum(requested_kw), max(event_id), count(*)
FROM vens
GROUP BY bucket

-- name: rollup_loads_5m
-- $1, $2: from, until
INSERT INTO load_power_5m (ven_id, load_id, bucket, readings, used_sum_kw, shed_sum_kw)
SELECT ven_id, load_id, date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), count(*), sum(used_power_kw),
       sum(coalesce(shed_power_kw, 0))
FROM ven_load_samples
WHERE ts >= $1 AND ts < $2
GROUP BY 1, 2, 3

-- name: move_watermark
-- $1: buckets before this are rolled up
UPDATE rollup_state SET watermark = $1

-- name: read_dirty
-- $1: how many buckets at most → marks of rolled-up buckets, oldest first
SELECT id, bucket, ven_id
FROM dirty_buckets
WHERE bucket IN (
    SELECT DISTINCT bucket FROM dirty_buckets
    WHERE bucket < (SELECT watermark FROM rollup_state)
    ORDER BY bucket LIMIT $1
)

-- name: read_dirty_between
-- $1, $2: from, until → marks of buckets in between
SELECT id, bucket, ven_id FROM dirty_buckets WHERE bucket >= $1 AND bucket < $2

-- name: delete_dirty
-- $1 bigint[]: marks that were read before their buckets were computed
DELETE FROM dirty_buckets WHERE id = ANY ($1::bigint[])

-- name: delete_vens_5m
-- $1 text[], $2 timestamptz[]: VENs and their buckets
DELETE FROM ven_power_5m r USING unnest($1::text[], $2::timestamptz[]) AS u (ven_id, bucket)
WHERE r.ven_id = u.ven_id AND r.bucket = u.bucket

-- name: delete_loads_5m
-- $1 text[], $2 timestamptz[]: VENs and their buckets
DELETE FROM load_power_5m r USING unnest($1::text[], $2::timestamptz[]) AS u (ven_id, bucket)
WHERE r.ven_id = u.ven_id AND r.bucket = u.bucket

-- name: redo_vens_5m
-- $1 text[], $2 timestamptz[]: VENs and their buckets, each once
INSERT INTO ven_power_5m (ven_id, bucket, readings, used_sum_kw, shed_sum_kw, requested_kw, event_id)
SELECT u.ven_id, u.bucket, r.*
FROM unnest($1::text[], $2::timestamptz[]) AS u (ven_id, bucket)
JOIN LATERAL (
    SELECT count(*) AS readings, sum(used_power_kw), sum(shed_power_kw),
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
    FROM ven_telemetry t
    WHERE t.ven_id = u.ven_id AND t.ts >= u.bucket AND t.ts < u.bucket + interval '5 minutes'
) AS r ON r.readings > 0

-- name: redo_loads_5m
-- $1 text[], $2 timestamptz[]: VENs and their buckets, each once
INSERT INTO load_power_5m (ven_id, load_id, bucket, readings, used_sum_kw, shed_sum_kw)
SELECT u.ven_id, r.load_id, u.bucket, r.readings, r.used_kw, r.shed_kw
FROM unnest($1::text[], $2::timestamptz[]) AS u (ven_id, bucket)
JOIN LATERAL (
    SELECT load_id, count(*) AS readings, sum(used_power_kw) AS used_kw, sum(coalesce(shed_power_kw, 0)) AS shed_kw
    FROM ven_load_samples s
    WHERE s.ven_id = u.ven_id AND s.ts >= u.bucket AND s.ts < u.bucket + interval '5 minutes'
    GROUP BY load_id
) AS r ON true

-- name: delete_network
-- $1 timestamptz[]: 5-minute buckets
WITH minutes AS (
    DELETE FROM network_power_1m r USING unnest($1::timestamptz[]) AS u (bucket)
    WHERE r.bucket >= u.bucket AND r.bucket < u.bucket + interval '5 minutes'
)
DELETE FROM network_power_5m WHERE bucket = ANY ($1::timestamptz[])

-- name: redo_network_1m
-- $1 timestamptz[]: 5-minute buckets, each once
INSERT INTO network_power_1m (bucket, used_kw, shed_kw, requested_kw, event_id, ven_count)
SELECT r.bucket, sum(r.used_kw), sum(r.shed_kw), sum(r.requested_kw), max(r.event_id), count(*)
FROM unnest($1::timestamptz[]) AS u (bucket)
JOIN LATERAL (
    SELECT date_bin('1 minute', t.ts, '1970-01-01 00:00:00+00') AS bucket, t.ven_id,
           avg(t.used_power_kw) AS used_kw, avg(t.shed_power_kw) AS shed_kw,
           avg(t.requested_reduction_kw) FILTER (WHERE t.event_id IS NOT NULL) AS requested_kw,
           max(t.event_id) AS event_id
    FROM ven_telemetry t
    WHERE t.ts >= u.bucket AND t.ts < u.bucket + interval '5 minutes'
    GROUP BY 1, 2
) AS r ON true
GROUP BY r.bucket

-- name: redo_network_5m
-- $1 timestamptz[]: 5-minute buckets, each once
INSERT INTO network_power_5m (bucket, used_kw, shed_kw, requested_kw, event_id, ven_count)
SELECT r.bucket, sum(r.used_kw), sum(r.shed_kw), sum(r.requested_kw), max(r.event_id), count(*)
FROM unnest($1::timestamptz[]) AS u (bucket)
JOIN LATERAL (
    SELECT date_bin('5 minutes', t.ts, '1970-01-01 00:00:00+00') AS bucket, t.ven_id,
           avg(t.used_power_kw) AS used_kw, avg(t.shed_power_kw) AS shed_kw,
           avg(t.requested_reduction_kw) FILTER (WHERE t.event_id IS NOT NULL) AS requested_kw,
           max(t.event_id) AS event_id
    FROM ven_telemetry t
    WHERE t.ts >= u.bucket AND t.ts < u.bucket + interval '5 minutes'
    GROUP BY 1, 2
) AS r ON true
GROUP BY r.bucket

-- name: delete_between
-- $1, $2: from, until
WITH a AS (DELETE FROM network_power_1m WHERE bucket >= $1 AND bucket < $2),
     b AS (DELETE FROM network_power_5m WHERE bucket >= $1 AND bucket < $2),
     c AS (DELETE FROM ven_power_5m WHERE bucket >= $1 AND bucket < $2)
DELETE FROM load_power_5m WHERE bucket >= $1 AND bucket < $2

-- name: progress
-- → the watermark in s since the epoch (null: none yet), and how many dirty buckets wait
SELECT CASE WHEN isfinite(watermark) THEN extract(epoch FROM watermark)::float8 END,
       (SELECT count(DISTINCT (bucket, ven_id)) FROM dirty_buckets)
FROM rollup_state
