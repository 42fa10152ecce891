-- Histories. What each number means: docs/architecture.md, "Meaning of the numbers".
--
-- Each is one statement, hence one snapshot. Rollups are read for buckets before the watermark that are not
-- dirty; raw rows for everything from the watermark on, and for dirty buckets, except before raw_from, where they
-- are gone. Scalar subqueries let the executor leave out partitions; LATERAL makes it use the indexes.
-- All of them return start, used_kw, shed_kw, requested_kw, event_id, ven_count, bases (base buckets with data).

-- name: network_5m
-- $1, $2: from, until; $3 interval: width of a bucket; $4 timestamptz[]: or its edges
WITH dirty AS MATERIALIZED (
    SELECT DISTINCT bucket
    FROM dirty_buckets
    WHERE bucket >= greatest($1::timestamptz, (SELECT raw_from FROM rollup_state))
      AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
), vens AS (
    SELECT d.bucket, t.*
    FROM dirty d
    JOIN LATERAL (
        SELECT avg(used_power_kw) AS used_kw, avg(shed_power_kw) AS shed_kw,
               avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL) AS requested_kw,
               max(event_id) AS event_id
        FROM ven_telemetry
        WHERE ts >= d.bucket AND ts < d.bucket + interval '5 minutes'
        GROUP BY ven_id
    ) AS t ON true
    UNION ALL
    SELECT date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), avg(used_power_kw), avg(shed_power_kw),
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
    FROM ven_telemetry
    WHERE ts >= greatest($1::timestamptz, (SELECT watermark FROM rollup_state)) AND ts < $2::timestamptz
    GROUP BY 1, ven_id
), base AS (
    SELECT bucket, used_kw, shed_kw, requested_kw, event_id, ven_count::float8 AS ven_count
    FROM network_power_5m
    WHERE bucket >= $1::timestamptz AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
      AND bucket NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT bucket, sum(used_kw), sum(shed_kw), sum(requested_kw), max(event_id), count(*)::float8
    FROM vens
    GROUP BY bucket
)
SELECT bucket_of(bucket, $3::interval, $4::timestamptz[]) AS start, avg(used_kw) AS used_kw, avg(shed_kw) AS shed_kw,
       avg(requested_kw) AS requested_kw, max(event_id) AS event_id, avg(ven_count) AS ven_count, count(*) AS bases
FROM base
GROUP BY 1
ORDER BY 1

-- name: network_1m
-- $1, $2: from, until; $3 interval: width of a bucket. Dirty marks speak of 5-minute buckets.
WITH dirty AS MATERIALIZED (
    SELECT DISTINCT bucket
    FROM dirty_buckets
    WHERE bucket > greatest($1::timestamptz, (SELECT raw_from FROM rollup_state)) - interval '5 minutes'
      AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
), vens AS (
    SELECT t.*
    FROM dirty d
    JOIN LATERAL (
        SELECT date_bin('1 minute', ts, '1970-01-01 00:00:00+00') AS bucket,
               avg(used_power_kw) AS used_kw, avg(shed_power_kw) AS shed_kw,
               avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL) AS requested_kw,
               max(event_id) AS event_id
        FROM ven_telemetry
        WHERE ts >= greatest(d.bucket, $1::timestamptz)
          AND ts < least(d.bucket + interval '5 minutes', $2::timestamptz)
        GROUP BY 1, ven_id
    ) AS t ON true
    UNION ALL
    SELECT date_bin('1 minute', ts, '1970-01-01 00:00:00+00'), avg(used_power_kw), avg(shed_power_kw),
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
    FROM ven_telemetry
    WHERE ts >= greatest($1::timestamptz, (SELECT watermark FROM rollup_state)) AND ts < $2::timestamptz
    GROUP BY 1, ven_id
), base AS (
    SELECT bucket, used_kw, shed_kw, requested_kw, event_id, ven_count::float8 AS ven_count
    FROM network_power_1m
    WHERE bucket >= $1::timestamptz AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
      AND date_bin('5 minutes', bucket, '1970-01-01 00:00:00+00') NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT bucket, sum(used_kw), sum(shed_kw), sum(requested_kw), max(event_id), count(*)::float8
    FROM vens
    GROUP BY bucket
)
SELECT date_bin($3::interval, bucket, '1970-01-01 00:00:00+00') AS start, avg(used_kw) AS used_kw,
       avg(shed_kw) AS shed_kw, avg(requested_kw) AS requested_kw, max(event_id) AS event_id,
       avg(ven_count) AS ven_count, count(*) AS bases
FROM base
GROUP BY 1
ORDER BY 1

-- name: network_raw
-- $1, $2: from, until; $3 interval: width of a bucket, which is its own base
SELECT bucket AS start, sum(used_kw) AS used_kw, sum(shed_kw) AS shed_kw, sum(requested_kw) AS requested_kw,
       max(event_id) AS event_id, count(*)::float8 AS ven_count, 1 AS bases
FROM (
    SELECT date_bin($3::interval, ts, '1970-01-01 00:00:00+00') AS bucket,
           avg(used_power_kw) AS used_kw, avg(shed_power_kw) AS shed_kw,
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL) AS requested_kw,
           max(event_id) AS event_id
    FROM ven_telemetry
    WHERE ts >= $1::timestamptz AND ts < $2::timestamptz
    GROUP BY 1, ven_id
) AS vens
GROUP BY bucket
ORDER BY bucket

-- name: ven_5m
-- $1, $2: from, until; $3 interval: width of a bucket; $4 timestamptz[]: or its edges; $5: VEN
WITH dirty AS MATERIALIZED (
    SELECT DISTINCT bucket
    FROM dirty_buckets
    WHERE ven_id = $5::text
      AND bucket >= greatest($1::timestamptz, (SELECT raw_from FROM rollup_state))
      AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
), base AS (
    SELECT bucket, used_sum_kw / readings AS used_kw, shed_sum_kw / readings AS shed_kw, requested_kw, event_id
    FROM ven_power_5m
    WHERE ven_id = $5::text
      AND bucket >= $1::timestamptz AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
      AND bucket NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT d.bucket, t.*
    FROM dirty d
    JOIN LATERAL (
        SELECT avg(used_power_kw), avg(shed_power_kw),
               avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
        FROM ven_telemetry
        WHERE ven_id = $5::text AND ts >= d.bucket AND ts < d.bucket + interval '5 minutes'
        HAVING count(*) > 0
    ) AS t ON true
    UNION ALL
    SELECT date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), avg(used_power_kw), avg(shed_power_kw),
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL), max(event_id)
    FROM ven_telemetry
    WHERE ven_id = $5::text
      AND ts >= greatest($1::timestamptz, (SELECT watermark FROM rollup_state)) AND ts < $2::timestamptz
    GROUP BY 1
)
SELECT bucket_of(bucket, $3::interval, $4::timestamptz[]) AS start, avg(used_kw) AS used_kw, avg(shed_kw) AS shed_kw,
       avg(requested_kw) AS requested_kw, max(event_id) AS event_id, NULL AS ven_count, count(*) AS bases
FROM base
GROUP BY 1
ORDER BY 1

-- name: ven_raw
-- $1, $2: from, until; $3 interval: width of a bucket; $4 interval: of its base buckets; $5: VEN
SELECT date_bin($3::interval, bucket, '1970-01-01 00:00:00+00') AS start, avg(used_kw) AS used_kw,
       avg(shed_kw) AS shed_kw, avg(requested_kw) AS requested_kw, max(event_id) AS event_id, NULL AS ven_count,
       count(*) AS bases
FROM (
    SELECT date_bin($4::interval, ts, '1970-01-01 00:00:00+00') AS bucket,
           avg(used_power_kw) AS used_kw, avg(shed_power_kw) AS shed_kw,
           avg(requested_reduction_kw) FILTER (WHERE event_id IS NOT NULL) AS requested_kw,
           max(event_id) AS event_id
    FROM ven_telemetry
    WHERE ven_id = $5::text AND ts >= $1::timestamptz AND ts < $2::timestamptz
    GROUP BY 1
) AS base
GROUP BY 1
ORDER BY 1

-- name: load_5m
-- $1, $2: from, until; $3 interval: width of a bucket; $4 timestamptz[]: or its edges; $5: VEN; $6: load
WITH dirty AS MATERIALIZED (
    SELECT DISTINCT bucket
    FROM dirty_buckets
    WHERE ven_id = $5::text
      AND bucket >= greatest($1::timestamptz, (SELECT raw_from FROM rollup_state))
      AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
), base AS (
    SELECT bucket, used_sum_kw / readings AS used_kw, shed_sum_kw / readings AS shed_kw
    FROM load_power_5m
    WHERE ven_id = $5::text AND load_id = $6::text
      AND bucket >= $1::timestamptz AND bucket < least($2::timestamptz, (SELECT watermark FROM rollup_state))
      AND bucket NOT IN (SELECT bucket FROM dirty)
    UNION ALL
    SELECT d.bucket, s.*
    FROM dirty d
    JOIN LATERAL (
        SELECT avg(used_power_kw), avg(coalesce(shed_power_kw, 0))
        FROM ven_load_samples
        WHERE ven_id = $5::text AND load_id = $6::text AND ts >= d.bucket AND ts < d.bucket + interval '5 minutes'
        HAVING count(*) > 0
    ) AS s ON true
    UNION ALL
    SELECT date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'), avg(used_power_kw), avg(coalesce(shed_power_kw, 0))
    FROM ven_load_samples
    WHERE ven_id = $5::text AND load_id = $6::text
      AND ts >= greatest($1::timestamptz, (SELECT watermark FROM rollup_state)) AND ts < $2::timestamptz
    GROUP BY 1
)
SELECT bucket_of(bucket, $3::interval, $4::timestamptz[]) AS start, avg(used_kw) AS used_kw, avg(shed_kw) AS shed_kw,
       NULL AS requested_kw, NULL AS event_id, NULL AS ven_count, count(*) AS bases
FROM base
GROUP BY 1
ORDER BY 1

-- name: load_raw
-- $1, $2: from, until; $3 interval: width of a bucket; $4 interval: of its base buckets; $5: VEN; $6: load
SELECT date_bin($3::interval, bucket, '1970-01-01 00:00:00+00') AS start, avg(used_kw) AS used_kw,
       avg(shed_kw) AS shed_kw, NULL AS requested_kw, NULL AS event_id, NULL AS ven_count, count(*) AS bases
FROM (
    SELECT date_bin($4::interval, ts, '1970-01-01 00:00:00+00') AS bucket, avg(used_power_kw) AS used_kw,
           avg(coalesce(shed_power_kw, 0)) AS shed_kw
    FROM ven_load_samples
    WHERE ven_id = $5::text AND load_id = $6::text AND ts >= $1::timestamptz AND ts < $2::timestamptz
    GROUP BY 1
) AS base
GROUP BY 1
ORDER BY 1
