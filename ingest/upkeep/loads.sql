-- Loads are counted apart from VENs. A sample speaks until its VEN's next list of loads, at most for its hold.

-- name: vens
-- Fragment. `lists`: lists of loads of VENs, from a hold before `first` on, of which [first, last) is counted. Arrays:
-- to sort the few times of each VEN costs half as much as to sort all lists by VEN and time.
vens AS MATERIALIZED (
    SELECT ven_id, first, last, array_agg(ts) AS times, max(ts) AS last_ts FROM lists GROUP BY ven_id, first, last
)

-- name: pieces
-- Fragment. The span of each list of `vens` is found once and cut at five minutes. OFFSET 0: its samples are found by
-- its key, whatever statistics the planner has. Half a minute at a time, by VEN within it (hashtext is quicker to sort
-- than an id): so few pages are read that they stay in shared_buffers, and a VEN's sums in the processor's cache. Rows are
-- written in the order of their key.
cut AS MATERIALIZED (
    SELECT ven_id, ts, bucket, us_between(ts, greatest(starts, bucket)) AS a,
           us_between(ts, least(ends, bucket + interval '5 minutes')) AS b
    FROM (
        SELECT *, generate_series(date_bin('5 minutes', starts, '1970-01-01 00:00:00+00'),
                                  ends - interval '1 microsecond', interval '5 minutes') AS bucket
        FROM (
            SELECT v.ven_id, l.ts, greatest(l.ts, v.first) AS starts, least(l.next_ts, l.ts + h.hold, v.last) AS ends
            FROM vens v
            CROSS JOIN LATERAL (
                SELECT ts, lead(ts) OVER (ORDER BY ts) AS next_ts FROM unnest(v.times) AS ts
                OFFSET 0
            ) AS l
            JOIN hold_spans h ON l.ts >= h.since AND l.ts < h.before
        ) AS spans
        WHERE ends > starts
    ) AS buckets
    ORDER BY (date_part('epoch', ts) / 30)::bigint * 4294967296 + hashtext(ven_id)
)
INSERT INTO load_power_5m
SELECT c.ven_id, s.load_id, c.bucket,
       sum(energy(s.used_power_kw, c.b) - CASE WHEN c.a > 0 THEN energy(s.used_power_kw, c.a) ELSE 0 END),
       coalesce(sum(energy(s.shed_power_kw, c.b) - CASE WHEN c.a > 0 THEN energy(s.shed_power_kw, c.a) ELSE 0 END), 0),
       sum(c.b - c.a)
FROM cut c
JOIN LATERAL (
    SELECT load_id, used_power_kw, shed_power_kw FROM ven_load_samples x
    WHERE x.ven_id = c.ven_id AND x.ts = c.ts
    OFFSET 0
) AS s ON true
GROUP BY c.ven_id, s.load_id, c.bucket
ORDER BY c.ven_id, s.load_id, c.bucket

-- name: count_lists
-- $1, $2: from, to, both at five minutes. Counts the loads, and writes the open lists. A list that came late, but before
-- its time is counted, is counted with it (`forgotten`).
WITH forgotten AS (DELETE FROM late_lists WHERE ts >= $1 AND ts < $2), lists AS (
    SELECT ven_id, ts, $1::timestamptz AS first, $2::timestamptz AS last FROM loads_open WHERE until > $1
    UNION ALL
    SELECT ven_id, ts, $1, $2 FROM ven_telemetry WHERE ts >= $1 AND ts < $2 AND lists_loads
), {vens}, opened AS (
    INSERT INTO loads_open
    SELECT v.ven_id, v.last_ts, v.last_ts + h.hold
    FROM vens v
    JOIN hold_spans h ON v.last_ts >= h.since AND v.last_ts < h.before
    WHERE v.last_ts >= $1
    ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until
), {pieces}

-- name: forget_silent_lists
-- $1: the watermark of loads. Deletes the open lists that no longer speak.
DELETE FROM loads_open WHERE until <= $1

-- name: move_loads_watermark
-- $1: from; $2: to
UPDATE rollup_state SET loads_watermark = $2 WHERE loads_watermark = $1

-- name: pick_lists
-- $1: at most so many. Picks late lists whose time is counted, from the oldest six hours, in the order of VENs.
INSERT INTO picked
SELECT l.ven_id, l.ts
FROM rollup_state s
JOIN late_lists l ON l.ts >= s.loads_history_from AND l.ts < s.loads_watermark
WHERE l.ts < (
    SELECT min(o.ts) + interval '6 hours' FROM late_lists o, rollup_state n
    WHERE o.ts >= n.loads_history_from AND o.ts < n.loads_watermark
)
ORDER BY l.ven_id, l.ts
LIMIT $1

-- name: forget_lists
-- Deletes the notes of the picked lists.
DELETE FROM late_lists l USING picked u WHERE l.ven_id = u.ven_id AND l.ts = u.ts

-- name: delete_loads
-- Deletes the rows of the stretches; `count_loads` writes them again.
DELETE FROM load_power_5m r USING stretches u
WHERE r.ven_id = u.ven_id AND r.bucket >= u.first AND r.bucket < u.last

-- name: counted_list
-- Fragment. Conditions of a reading (r): it lists loads, and is not noted as late. As a scalar subquery, the note is
-- looked up by key, row by row.
r.lists_loads AND (SELECT l.ts FROM late_lists l WHERE l.ven_id = r.ven_id AND l.ts = r.ts) IS NULL

-- name: count_loads
-- Lists that are still noted as late are left for a later redo. Before a stretch, the last counted list is enough.
WITH lists AS (
    SELECT u.ven_id, t.ts, u.first, u.last
    FROM stretches u
    JOIN LATERAL (
        SELECT ts FROM (
            SELECT ts FROM ven_telemetry r
            WHERE r.ven_id = u.ven_id AND r.ts >= u.first - (SELECT max(hold) FROM holds) AND r.ts < u.first
              AND {counted_list}
            ORDER BY r.ts DESC LIMIT 1
        ) AS carried
        UNION ALL
        SELECT ts FROM ven_telemetry r
        WHERE r.ven_id = u.ven_id AND r.ts >= u.first AND r.ts < u.last AND {counted_list}
        OFFSET 0
    ) AS t ON true
), {vens}, {pieces}

-- name: reopen_lists
-- $1: the watermark of loads. Writes the open lists of VENs whose stretch reaches it.
INSERT INTO loads_open
SELECT s.ven_id, t.ts, t.ts + h.hold
FROM (SELECT DISTINCT ven_id FROM stretches WHERE last = $1::timestamptz) AS s
JOIN LATERAL (
    SELECT ts FROM ven_telemetry r
    WHERE r.ven_id = s.ven_id AND r.ts >= $1::timestamptz - (SELECT max(hold) FROM holds) AND r.ts < $1::timestamptz
      AND {counted_list}
    ORDER BY r.ts DESC LIMIT 1
) AS t ON true
JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until

-- name: recount_loads
-- $1, $2: from, to, both at five minutes. Lists that are noted as late are left for a redo.
WITH lists AS (
    SELECT t.ven_id, t.ts, $1::timestamptz AS first, $2::timestamptz AS last
    FROM ven_telemetry t
    WHERE t.ts >= $1 - (SELECT max(hold) FROM holds) AND t.ts < $2 AND t.lists_loads
      AND NOT EXISTS (SELECT 1 FROM late_lists l WHERE l.ven_id = t.ven_id AND l.ts = t.ts)
), {vens}, {pieces}
