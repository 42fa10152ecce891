-- The statements of `ecs-backend status`.

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
-- -> watermark (null: none yet), its age in s, where raw rows begin (null: at the first), late readings that wait
SELECT CASE WHEN isfinite(watermark) THEN watermark END AS watermark,
       CASE WHEN isfinite(watermark) THEN extract(epoch FROM now() - watermark)::float8 END AS lag_seconds,
       CASE WHEN isfinite(raw_from) THEN raw_from END AS raw_from,
       (SELECT count(*) FROM late_readings) AS late_readings
FROM rollup_state

-- name: server
-- -> the version, the settings that the promises depend on, and the newest migration
SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
       current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,
       (SELECT max(migration_id) FROM _yoyo_migration) AS migration

-- name: waiting
-- -> our sessions that wait for a lock, and who holds it
SELECT w.pid, w.application_name AS application, b.pid AS holder, b.application_name AS holder_application,
       extract(epoch FROM now() - b.xact_start)::float8 AS held_seconds
FROM pg_stat_activity w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity b ON b.pid = blocking.pid
WHERE w.datname = current_database() AND starts_with(w.application_name, 'ecs-')
LIMIT 10

-- name: slow_reporters
-- %(worst)s at most -> VENs that usually report less often than a reading speaks (by the median of their last few
-- readings), the rarest first; in each row how many these are, how often they report, and the longest interval
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
), slow AS (
    SELECT ven_id, every FROM usual WHERE every > (SELECT hold FROM holds ORDER BY since DESC LIMIT 1)
), of_all AS (
    SELECT count(*) AS vens, percentile_disc(0.5) WITHIN GROUP (ORDER BY every) AS median, max(every) AS longest
    FROM slow
)
SELECT s.ven_id AS ven, extract(epoch FROM s.every)::float8 AS every_seconds, a.vens,
       extract(epoch FROM a.median)::float8 AS median_seconds, extract(epoch FROM a.longest)::float8 AS longest_seconds
FROM slow s CROSS JOIN of_all a
ORDER BY s.every DESC, s.ven_id
LIMIT %(worst)s

-- name: dead_letters
-- %(worst)s reasons at most -> messages and letters by reason, the most frequent first, with topic and VEN of the newest;
-- numbers and quoted words of a reason left out
SELECT regexp_replace(error, '''[^'']*''|-?\d+(\.\d+)?', U&'\2026', 'g') AS reason,
       sum(times_seen)::bigint AS messages, count(*) AS letters, max(received_at) AS latest,
       (array_agg(topic ORDER BY received_at DESC))[1] AS topic,
       (array_agg(ven_id ORDER BY received_at DESC))[1] AS ven
FROM dead_letters
GROUP BY 1
ORDER BY 2 DESC
LIMIT %(worst)s

-- name: flaws
-- %(kind)s: flawed or conflict; %(worst)s at most -> the latest of each VEN, and how many there were, the most first
SELECT ven_id AS ven, times, last_at AS latest, topic, reason
FROM ven_flaws
WHERE kind = %(kind)s
ORDER BY times DESC, ven_id
LIMIT %(worst)s

-- name: clocks
-- %(least)s s off; %(worst)s at most -> VENs whose clocks are off, by how many s they are behind, the worst first
SELECT ven_id AS ven, clock_offset AS behind_seconds, last_seen_at AS last_seen
FROM vens
WHERE abs(clock_offset) >= %(least)s
ORDER BY abs(clock_offset) DESC, ven_id
LIMIT %(worst)s

-- name: vens
-- %(silent)s: after so many s without a sign of life a VEN is offline -> how many are online, and how many are known
SELECT count(*) FILTER (WHERE alive_at >= now() - %(silent)s * interval '1 second') AS online, count(*) AS known
FROM ven_signs

-- name: offline
-- %(silent)s as in vens; %(worst)s at most -> VENs that are offline, those heard last first
SELECT s.ven_id AS ven, v.last_seen_at AS last_seen, v.status
FROM ven_signs s JOIN vens v USING (ven_id)
WHERE s.alive_at IS NULL OR s.alive_at < now() - %(silent)s * interval '1 second'
ORDER BY v.last_seen_at DESC NULLS LAST, s.ven_id
LIMIT %(worst)s

-- name: today
-- -> bytes of today's raw rows, and the s in which they came: since midnight UTC, or since the first VEN's first message
SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint AS bytes,
       extract(epoch FROM now() - greatest(date_trunc('day', now()), (SELECT min(first_seen_at) FROM vens)))::float8
           AS seconds
FROM pg_inherits i
JOIN pg_class p ON p.oid = i.inhrelid
WHERE i.inhparent IN (to_regclass('ven_telemetry'), to_regclass('ven_load_lists'))
  AND starts_with(pg_get_expr(p.relpartbound, p.oid), 'FOR VALUES FROM (''' || to_char(now(), 'YYYY-MM-DD'))
