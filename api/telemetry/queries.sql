-- What the api asks of the database besides histories (history.sql).
--
-- Ranges: a bucket of a rollup counts up to its last microsecond, so `last` may lie behind the last reading by
-- less than 5 minutes. Each part is found at one end of an index.

-- name: network_range
-- → first, last: the range of stored data; raw_from: how far back raw rows reach (null: no limit)
SELECT coalesce(
           least((SELECT min(bucket) FROM network_power_5m), (SELECT min(bucket) FROM dirty_buckets)),
           (SELECT min(t.ts)
            FROM vens v
            JOIN LATERAL (
                SELECT ts FROM ven_telemetry
                WHERE ven_id = v.ven_id AND ts >= (SELECT watermark FROM rollup_state)
                ORDER BY ts LIMIT 1
            ) AS t ON true)
       ) AS first,
       greatest(
           (SELECT max(telemetry_ts) FROM vens),
           (SELECT max(bucket) FROM network_power_5m) + interval '299.999999 seconds'
       ) AS last,
       CASE WHEN isfinite(raw_from) THEN raw_from END AS raw_from
FROM rollup_state

-- name: ven_range
-- $1: VEN → the same of one VEN; no row: no such VEN
SELECT coalesce(
           least(
               (SELECT bucket FROM ven_power_5m WHERE ven_id = $1::text ORDER BY bucket LIMIT 1),
               (SELECT min(bucket) FROM dirty_buckets WHERE ven_id = $1::text)
           ),
           (SELECT ts FROM ven_telemetry
            WHERE ven_id = $1::text AND ts >= (SELECT watermark FROM rollup_state)
            ORDER BY ts LIMIT 1)
       ) AS first,
       greatest(
           v.telemetry_ts,
           (SELECT bucket FROM ven_power_5m WHERE ven_id = $1::text ORDER BY bucket DESC LIMIT 1)
               + interval '299.999999 seconds'
       ) AS last,
       (SELECT CASE WHEN isfinite(raw_from) THEN raw_from END FROM rollup_state) AS raw_from
FROM vens v
WHERE v.ven_id = $1::text

-- name: load_range
-- $1: VEN; $2: load → the same of one load, and `known`: whether the VEN ever named it; no row: no such VEN
SELECT coalesce(
           least(
               (SELECT bucket FROM load_power_5m
                WHERE ven_id = $1::text AND load_id = $2::text ORDER BY bucket LIMIT 1),
               (SELECT min(bucket) FROM dirty_buckets WHERE ven_id = $1::text)
           ),
           (SELECT ts FROM ven_load_samples
            WHERE ven_id = $1::text AND load_id = $2::text AND ts >= (SELECT watermark FROM rollup_state)
            ORDER BY ts LIMIT 1)
       ) AS first,
       greatest(
           (SELECT ts FROM ven_load_samples
            WHERE ven_id = $1::text AND load_id = $2::text AND ts >= (SELECT watermark FROM rollup_state)
            ORDER BY ts DESC LIMIT 1),
           (SELECT bucket FROM load_power_5m
            WHERE ven_id = $1::text AND load_id = $2::text ORDER BY bucket DESC LIMIT 1)
               + interval '299.999999 seconds',
           (SELECT max(bucket) FROM dirty_buckets WHERE ven_id = $1::text) + interval '299.999999 seconds'
       ) AS last,
       (SELECT CASE WHEN isfinite(raw_from) THEN raw_from END FROM rollup_state) AS raw_from,
       EXISTS (SELECT FROM ven_loads WHERE ven_id = $1::text AND load_id = $2::text)
           OR EXISTS (SELECT FROM load_power_5m WHERE ven_id = $1::text AND load_id = $2::text) AS known
FROM vens v
WHERE v.ven_id = $1::text

-- name: ven_loads
-- $1: VEN → its loads now; one row of nulls: it has none; no row: no such VEN
SELECT l.load_id, l.load_type, l.name, l.power_kw, l.shed_capability_kw, l.capacity_kw
FROM vens v
LEFT JOIN current_loads l ON l.ven_id = v.ven_id
WHERE v.ven_id = $1::text
ORDER BY l.load_id

-- name: load_totals
-- $1 interval: VEN_OFFLINE_AFTER; $2 text[]: statuses that mean offline → by type, of the loads of online VENs
SELECT coalesce(l.load_type, 'unknown') AS load_type, sum(l.capacity_kw) AS capacity_kw,
       sum(l.shed_capability_kw) AS shed_capability_kw, sum(greatest(l.power_kw, 0)) AS usage_kw,
       coalesce(sum(l.capacity_kw) FILTER (WHERE l.shed_capability_kw > 0), 0) AS controllable_kw
FROM vens v
JOIN current_loads l ON l.ven_id = v.ven_id
WHERE v.last_seen_at >= now() - $1::interval
  AND NOT coalesce(lower(v.status) = ANY ($2::text[])
                   AND (v.telemetry_ts IS NULL OR v.status_at >= v.telemetry_ts), false)
GROUP BY 1

-- name: fleet
-- $1 interval: VEN_OFFLINE_AFTER; $2 text[]: statuses that mean offline → all VENs, and sums over online ones
SELECT count(*) AS vens, count(*) FILTER (WHERE online) AS online,
       coalesce(sum(used_power_kw) FILTER (WHERE online), 0) AS used_kw,
       coalesce(sum(shed_power_kw) FILTER (WHERE online), 0) AS shed_kw,
       coalesce(sum(requested_reduction_kw) FILTER (WHERE online), 0) AS requested_kw
FROM (
    SELECT used_power_kw, shed_power_kw, requested_reduction_kw,
           coalesce(last_seen_at >= now() - $1::interval, false)
           AND NOT coalesce(lower(status) = ANY ($2::text[])
                            AND (telemetry_ts IS NULL OR status_at >= telemetry_ts), false) AS online
    FROM vens
) AS each
