-- What `ecs-backend status` shows.

-- name: tables
-- -> every table: its rows (counted by the last ANALYZE or by statistics), size in bytes, partitions
SELECT c.relname AS "table",
       coalesce(sum(coalesce(s.n_live_tup, 0)), 0)::bigint AS rows,
       sum(pg_total_relation_size(coalesce(i.inhrelid, c.oid)))::bigint AS bytes,
       count(i.inhrelid) AS partitions,
       min(substring(pg_get_expr(p.relpartbound, p.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz) AS first,
       max(substring(pg_get_expr(p.relpartbound, p.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz) AS last
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhparent = c.oid
LEFT JOIN pg_class p ON p.oid = i.inhrelid
LEFT JOIN pg_stat_user_tables s ON s.relid = coalesce(i.inhrelid, c.oid)
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname !~ '^_?yoyo'
GROUP BY c.relname
ORDER BY 3 DESC

-- name: rollups
-- -> watermark (null: none yet), its age, where raw rows begin (null: at the first), late readings that wait
SELECT CASE WHEN isfinite(watermark) THEN watermark END,
       CASE WHEN isfinite(watermark) THEN date_trunc('second', now() - watermark) END,
       CASE WHEN isfinite(raw_from) THEN raw_from END,
       (SELECT count(*) FROM late_readings)
FROM rollup_state

-- name: slow_reporters
-- -> how many VENs usually report less often than a reading speaks (by the median of their last few readings), how often
-- these do, and the longest of these intervals
WITH usual AS (
    SELECT v.ven_id, (
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY later - ts)
        FROM (
            SELECT ts, lead(ts) OVER (ORDER BY ts) AS later
            FROM (
                SELECT ts FROM ven_telemetry
                WHERE ven_id = v.ven_id AND ts > now() - interval '2 days'
                ORDER BY ts DESC LIMIT 6
            ) AS latest
        ) AS pairs
        WHERE later IS NOT NULL
        HAVING count(*) >= 3
    ) AS every
    FROM vens v
)
SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY every), max(every)
FROM usual
WHERE every > (SELECT hold FROM holds ORDER BY since DESC LIMIT 1)

-- name: dead_letters
-- -> messages and letters by reason, the most frequent first; numbers and quoted words of a reason left out
SELECT regexp_replace(error, '''[^'']*''|-?\d+(\.\d+)?', U&'\2026', 'g') AS reason,
       sum(times_seen)::bigint AS messages, count(*) AS letters, max(received_at) AS latest
FROM dead_letters
GROUP BY 1
ORDER BY 2 DESC
LIMIT 20

-- name: flaws
-- -> the latest flaw or conflict of each VEN and how often there was one, the most frequent first
SELECT ven_id, kind, times, last_at, topic, reason
FROM ven_flaws
ORDER BY times DESC, ven_id
LIMIT 20

-- name: clocks
-- %(least)s s off -> VENs whose clocks are off, by how many s they are behind, the worst first
SELECT ven_id, clock_offset, last_seen_at
FROM vens
WHERE abs(clock_offset) >= %(least)s
ORDER BY abs(clock_offset) DESC, ven_id
LIMIT 20

-- name: vens
-- %(silent)s s without a sign of life make a VEN offline -> online, all
SELECT count(*) FILTER (WHERE alive_at >= now() - %(silent)s * interval '1 second'), count(*)
FROM ven_signs
