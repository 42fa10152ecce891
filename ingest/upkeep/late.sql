-- Late readings came after their time was counted: the stretches that they change are counted again from raw rows.

-- name: create_work
-- The tables that a redo works on. picked: late readings, or late lists of loads. stretches: the whole five minutes of
-- a VEN that they change, until the watermark at most. redone: the sums of VENs in them by minute, once as they were
-- counted (`after` is false) and once with the late readings (`after` is true).
CREATE TEMPORARY TABLE IF NOT EXISTS picked (ven_id text COLLATE "C", ts timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS stretches (
    ven_id text COLLATE "C", first timestamptz, last timestamptz
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS redone (
    ven_id text COLLATE "C", minute timestamptz, after boolean, used_uwh bigint, shed_uwh bigint, requested_uwh bigint,
    covered_us bigint, event_us bigint, event_id text COLLATE "C"
) ON COMMIT DELETE ROWS

-- name: pick
-- $1: at most so many. Picks late readings whose time is counted, from the oldest six hours, in the order of VENs.
INSERT INTO picked
SELECT l.ven_id, l.ts
FROM rollup_state s
JOIN late_readings l ON l.ts >= s.history_from AND l.ts < s.watermark
WHERE l.ts < (
    SELECT min(o.ts) + interval '6 hours' FROM late_readings o, rollup_state n
    WHERE o.ts >= n.history_from AND o.ts < n.watermark
)
ORDER BY l.ven_id, l.ts
LIMIT $1

-- name: find_stretches
-- $1: the watermark
{stretches}

-- name: first_picked
-- -> ts: of the earliest reading; first, last: where the stretches begin and end
SELECT (SELECT min(ts) FROM picked) AS ts, min(first) AS first, max(last) AS last FROM stretches

-- name: not_noted
-- Fragment. A condition of a reading (r). As a scalar subquery it is looked up by key, row by row.
(SELECT l.ts FROM late_readings l WHERE l.ven_id = r.ven_id AND l.ts = r.ts) IS NULL

-- name: redo
-- Counts the stretches twice: without the picked readings, and with them. Before a stretch, one reading is enough: the
-- last counted one. No picked one lies within a hold before it, because their stretches would touch.
WITH found AS MATERIALIZED (
    -- By itself: otherwise the planner may go through `picked` once a stretch.
    SELECT s.first, s.last, t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw,
           {requested} AS requested_kw, t.event_id, t.ts + h.hold AS until
    FROM stretches s
    JOIN LATERAL (
        SELECT * FROM (
            SELECT * FROM ven_telemetry r
            WHERE r.ven_id = s.ven_id AND r.ts >= s.first - (SELECT max(hold) FROM holds) AND r.ts < s.first
              AND {not_noted}
            ORDER BY r.ts DESC LIMIT 1
        ) AS carried
        UNION ALL
        SELECT * FROM ven_telemetry r WHERE r.ven_id = s.ven_id AND r.ts >= s.first AND r.ts < s.last
        OFFSET 0
    ) AS t ON true
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
), rows AS MATERIALIZED (
    SELECT f.*, l.ven_id IS NULL AS was_counted, l.ven_id IS NULL OR p.ven_id IS NOT NULL AS is_counted
    FROM found f
    LEFT JOIN late_readings l ON l.ven_id = f.ven_id AND l.ts = f.ts
    LEFT JOIN picked p ON p.ven_id = f.ven_id AND p.ts = f.ts
), spans AS (
    SELECT *, false AS after, lead(ts) OVER (PARTITION BY ven_id, first ORDER BY ts) AS next_ts
    FROM rows WHERE was_counted
    UNION ALL
    SELECT *, true, lead(ts) OVER (PARTITION BY ven_id, first ORDER BY ts) FROM rows WHERE is_counted
), cut AS (
    SELECT *, generate_series(date_bin('1 minute', starts, '1970-01-01 00:00:00+00'),
                              ends - interval '1 microsecond', interval '1 minute') AS minute
    FROM (SELECT *, greatest(ts, first) AS starts, least(next_ts, until, last) AS ends FROM spans) AS limited
    WHERE ends > starts
), pieces AS (
    SELECT ven_id, minute, after, {piece_sums}, CASE WHEN ts >= minute AND ts >= first THEN event_id END AS event_id
    FROM (
        SELECT *, us_between(ts, greatest(starts, minute)) AS a,
               us_between(ts, least(ends, minute + interval '1 minute')) AS b
        FROM cut
    ) AS measured
)
INSERT INTO redone
SELECT ven_id, minute, after, {sums} FROM pieces GROUP BY ven_id, minute, after

-- name: differing
-- $1: the watermark -> closed five minutes in which a VEN's stored sums differ from the first of both counts
WITH keys AS (
    SELECT ven_id, generate_series(first, last - interval '1 microsecond', interval '5 minutes') AS bucket
    FROM stretches
), counted AS (
    SELECT ven_id, date_bin('5 minutes', minute, '1970-01-01 00:00:00+00') AS bucket, sum(used_uwh) AS used_uwh,
           sum(covered_us) AS covered_us
    FROM redone
    WHERE NOT after
    GROUP BY 1, 2
)
SELECT DISTINCT k.bucket
FROM keys k
LEFT JOIN counted c ON c.ven_id = k.ven_id AND c.bucket = k.bucket
LEFT JOIN ven_power_5m r ON r.ven_id = k.ven_id AND r.bucket = k.bucket
WHERE k.bucket + interval '5 minutes' <= $1::timestamptz
  AND (coalesce(c.used_uwh, 0) <> coalesce(r.used_uwh, 0) OR coalesce(c.covered_us, 0) <> coalesce(r.covered_us, 0))
ORDER BY 1

-- name: delete_counted
-- $1: the watermark. Deletes the rows of closed five minutes of the stretches.
DELETE FROM ven_power_5m r USING stretches u
WHERE r.ven_id = u.ven_id AND r.bucket >= u.first AND r.bucket < u.last
  AND r.bucket < date_bin('5 minutes', $1::timestamptz, '1970-01-01 00:00:00+00')

-- name: insert_redone
-- $1: the watermark. Writes these rows again, from the second count.
INSERT INTO ven_power_5m
SELECT ven_id, date_bin('5 minutes', minute, '1970-01-01 00:00:00+00'), {sums}
FROM redone
WHERE after AND minute < date_bin('5 minutes', $1::timestamptz, '1970-01-01 00:00:00+00')
GROUP BY 1, 2

-- name: forget
-- Deletes the notes of the picked readings.
DELETE FROM late_readings l USING picked u WHERE l.ven_id = u.ven_id AND l.ts = u.ts

-- name: reopen
-- $1: the watermark. Writes the open rows of VENs whose stretch reaches it.
INSERT INTO ven_open (ven_id, ts, until, used_kw, shed_kw, requested_kw, upto, bucket,
                      used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id)
SELECT t.ven_id, t.ts, t.ts + h.hold, t.used_power_kw, t.shed_power_kw, {requested},
       $1, {five_minutes}, coalesce(r.used_uwh, 0), coalesce(r.shed_uwh, 0), coalesce(r.requested_uwh, 0),
       coalesce(r.covered_us, 0), coalesce(r.event_us, 0), r.event_id
FROM (SELECT DISTINCT ven_id FROM stretches WHERE last = $1::timestamptz) AS s
JOIN LATERAL (
    SELECT * FROM ven_telemetry r
    WHERE r.ven_id = s.ven_id AND r.ts >= $1::timestamptz - (SELECT max(hold) FROM holds) AND r.ts < $1::timestamptz
      AND {not_noted}
    ORDER BY r.ts DESC LIMIT 1
) AS t ON true
LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
LEFT JOIN (
    SELECT ven_id, sum(used_uwh) AS used_uwh, sum(shed_uwh) AS shed_uwh, sum(requested_uwh) AS requested_uwh,
           sum(covered_us) AS covered_us, sum(event_us) AS event_us, max(event_id) AS event_id
    FROM redone
    WHERE after AND minute >= {five_minutes}
    GROUP BY ven_id
) AS r ON r.ven_id = t.ven_id
ON CONFLICT (ven_id) DO UPDATE SET
    ts = excluded.ts, until = excluded.until, used_kw = excluded.used_kw, shed_kw = excluded.shed_kw,
    requested_kw = excluded.requested_kw, upto = excluded.upto, bucket = excluded.bucket,
    used_uwh = excluded.used_uwh, shed_uwh = excluded.shed_uwh, requested_uwh = excluded.requested_uwh,
    covered_us = excluded.covered_us, event_us = excluded.event_us, event_id = excluded.event_id

-- name: move_first
-- $1: the earliest of the picked readings: the network's first reading, if none was earlier
UPDATE rollup_state SET first_at = $1 WHERE first_at > $1
