-- Loads are counted apart from VENs. A sample speaks until its VEN's next list of loads, at most for its hold.

-- name: pieces
-- Fragment. `lists`: lists of loads from a hold before `first` on. The span of each list is found once and cut at five
-- minutes. OFFSET 0: its samples are found by its key, whatever statistics the planner has.
spans AS (
    SELECT *, lead(ts) OVER (PARTITION BY ven_id, first ORDER BY ts) AS next_ts FROM lists
), cut AS MATERIALIZED (
    SELECT ven_id, ts, bucket, us_between(ts, greatest(starts, bucket)) AS a,
           us_between(ts, least(ends, bucket + interval '5 minutes')) AS b
    FROM (
        SELECT *, generate_series(date_bin('5 minutes', starts, '1970-01-01 00:00:00+00'),
                                  ends - interval '1 microsecond', interval '5 minutes') AS bucket
        FROM (SELECT *, greatest(ts, first) AS starts, least(next_ts, until, last) AS ends FROM spans) AS limited
        WHERE ends > starts
    ) AS buckets
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

-- name: plan_for_all
-- Until the end of the transaction, `count_lists` reads the samples of its five minutes in the order in which they are
-- stored, and finds their lists in a hash table: nearly half the time of finding the samples of each list by their key.
-- Statistics of today's partition are always out of date, so the planner is not asked.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_sort', 'off', true),
       set_config('enable_indexscan', 'off', true)

-- name: count_lists
-- $1, $2: from, to, of five minutes that are over. Counts the loads, and writes the open lists. Sums of doubles are quick,
-- and exact here: energies are whole numbers, and those of a load in five minutes stay below 2^53 uWh. `round(b) = b AND
-- abs(b) = b` is always true; with it, the planner expects few lists, so that the hash table is of lists, not of samples.
WITH seen AS MATERIALIZED (
    SELECT t.ven_id, t.ts, t.ts + h.hold AS until
    FROM ven_telemetry t
    JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= $1 AND t.ts < $2 AND t.lists_loads
), lists AS (
    SELECT * FROM loads_open WHERE until > $1
    UNION ALL
    SELECT * FROM seen
), opened AS (
    INSERT INTO loads_open SELECT ven_id, max(ts), max(until) FROM seen GROUP BY ven_id
    ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until
), spans AS MATERIALIZED (
    SELECT ven_id, ts, us_between(ts, least(next_ts, until, $2)) AS b
    FROM (SELECT *, lead(ts) OVER (PARTITION BY ven_id ORDER BY ts) AS next_ts FROM lists) AS followed
    WHERE ts >= $1 OR next_ts IS NULL OR next_ts > $1
), spoken AS (
    SELECT c.ven_id, x.load_id, c.b - c.a AS us,
           energy(x.used_power_kw, c.b) - energy(x.used_power_kw, c.a) AS used_uwh,
           energy(x.shed_power_kw, c.b) - energy(x.shed_power_kw, c.a) AS shed_uwh
    FROM (SELECT *, us_between(ts, $1) AS a FROM spans WHERE ts < $1) AS c
    JOIN LATERAL (
        SELECT * FROM ven_load_samples s WHERE s.ven_id = c.ven_id AND s.ts = c.ts
        OFFSET 0
    ) AS x ON true
    UNION ALL
    SELECT c.ven_id, x.load_id, c.b, energy(x.used_power_kw, c.b), energy(x.shed_power_kw, c.b)
    FROM (SELECT * FROM spans WHERE ts >= $1 AND round(b) = b AND abs(b) = b) AS c
    JOIN ven_load_samples x ON x.ven_id = c.ven_id AND x.ts = c.ts
    WHERE x.ts >= $1 AND x.ts < $2
), summed AS MATERIALIZED (
    SELECT ven_id, load_id, sum(used_uwh::double precision) AS used_uwh,
           coalesce(sum(shed_uwh::double precision), 0) AS shed_uwh, sum(us) AS covered_us
    FROM spoken
    GROUP BY ven_id, load_id
)
INSERT INTO load_power_5m
SELECT ven_id, load_id, $1, used_uwh, shed_uwh, covered_us FROM summed ORDER BY ven_id, load_id

-- name: forget_seen_lists
-- $1, $2: from, to. A list that came late, but before its time is counted, is counted by `count_lists`.
DELETE FROM late_lists WHERE ts >= $1 AND ts < $2

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

-- name: count_loads
-- Lists that are still noted as late are left for a later redo.
WITH lists AS (
    SELECT t.ven_id, t.ts, t.ts + h.hold AS until, u.first, u.last
    FROM stretches u
    JOIN ven_telemetry t ON t.ven_id = u.ven_id AND t.ts >= u.first - (SELECT max(hold) FROM holds) AND t.ts < u.last
    JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.lists_loads AND NOT EXISTS (SELECT 1 FROM late_lists l WHERE l.ven_id = t.ven_id AND l.ts = t.ts)
), {pieces}

-- name: reopen_lists
-- $1: the watermark of loads. Writes the open lists of VENs whose stretch reaches it.
INSERT INTO loads_open
SELECT t.ven_id, max(t.ts), max(t.ts + h.hold)
FROM ven_telemetry t
JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
WHERE t.ven_id IN (SELECT ven_id FROM stretches WHERE last = $1::timestamptz)
  AND t.ts >= $1::timestamptz - (SELECT max(hold) FROM holds) AND t.ts < $1::timestamptz
  AND t.lists_loads AND NOT EXISTS (SELECT 1 FROM late_lists l WHERE l.ven_id = t.ven_id AND l.ts = t.ts)
GROUP BY t.ven_id
ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until

-- name: recount_loads
-- $1, $2: from, to, both at five minutes. Lists that are noted as late are left for a redo.
WITH lists AS MATERIALIZED (
    SELECT t.ven_id, t.ts, t.ts + h.hold AS until, $1::timestamptz AS first, $2::timestamptz AS last
    FROM ven_telemetry t
    JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= $1 - (SELECT max(hold) FROM holds) AND t.ts < $2 AND t.lists_loads
      AND NOT EXISTS (SELECT 1 FROM late_lists l WHERE l.ven_id = t.ven_id AND l.ts = t.ts)
), {pieces}
