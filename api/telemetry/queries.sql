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
-- $1 interval: VEN_OFFLINE_AFTER → by type, of the loads of online VENs; usage of those whose readings count
SELECT coalesce(l.load_type, 'unknown') AS load_type, sum(l.capacity_kw) AS capacity_kw,
       sum(l.shed_capability_kw) AS shed_capability_kw,
       coalesce(sum(greatest(l.power_kw, 0)) FILTER (WHERE s.spoke_at >= now() - $1::interval), 0) AS usage_kw,
       coalesce(sum(l.capacity_kw) FILTER (WHERE l.shed_capability_kw > 0), 0) AS controllable_kw
FROM ven_signs s
JOIN current_loads l ON l.ven_id = s.ven_id
WHERE s.alive_at >= now() - $1::interval
GROUP BY 1

-- name: fleet
-- $1 interval: VEN_OFFLINE_AFTER → all VENs, those online, and of them those whose readings count, with sums
SELECT count(*) AS vens, count(*) FILTER (WHERE online) AS online, count(*) FILTER (WHERE online AND counts) AS counted,
       coalesce(sum(used_power_kw) FILTER (WHERE online AND counts), 0) AS used_kw,
       coalesce(sum(shed_power_kw) FILTER (WHERE online AND counts), 0) AS shed_kw,
       coalesce(sum(requested_reduction_kw) FILTER (WHERE online AND counts), 0) AS requested_kw
FROM (
    SELECT v.used_power_kw, v.shed_power_kw, v.requested_reduction_kw, s.alive_at >= now() - $1::interval AS online,
           s.spoke_at >= now() - $1::interval AS counts
    FROM vens v
    JOIN ven_signs s ON s.ven_id = v.ven_id
) AS each
