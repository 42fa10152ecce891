-- Loads are counted apart from VENs. A sample speaks until its VEN's next list of loads, at most for its hold.

-- name: vens
-- Fragment. `lists`: lists of loads of VENs, from a hold before `first` on, of which [first, last) is counted. Of each
-- VEN: the times of its lists, sorted, as an array. So nothing but these few times is ever sorted.
vens AS MATERIALIZED (
    SELECT ven_id, first, last, last_ts, (SELECT array_agg(ts ORDER BY ts) FROM unnest(times) AS ts) AS times
    FROM (
        SELECT ven_id, first, last, array_agg(ts) AS times, max(ts) AS last_ts FROM lists GROUP BY ven_id, first, last
    ) AS told_by
)

-- name: counted_at
-- Fragment. The five minutes in which a list is counted: the expression of an index.
date_bin('5 minutes', ts, '1970-01-01 00:00:00+00')

-- name: many_vens
-- Fragment. The rows of `vens`, which the planner takes for many, because of a series that has one row. So it puts the
-- lists into the hash table, and not the VENs: then all lists of a VEN come together, and the sums of its loads stay in
-- the processor's cache. In the order in which lists were stored, to add them up takes twice as long.
(SELECT *, generate_series(first, first, interval '1 second') AS one FROM vens)

-- name: list_and_times
-- Fragment. What `found` has of a list (r) and its VEN (v).
r.ven_id, r.ts, r.load_ids, r.used_power_kw, r.shed_power_kw, v.first, v.last, v.times

-- name: spans
-- Fragment. The time for which each list of `found` speaks, within [first, last). `found`: lists, each with the times of
-- its VEN's.
(
    SELECT f.*, greatest(f.ts, f.first) AS starts,
           least(f.times[width_bucket(f.ts, f.times) + 1], f.ts + h.hold, f.last) AS ends
    FROM found f
    LEFT JOIN hold_spans h ON f.ts >= h.since AND f.ts < h.before
) AS spans

-- name: told
-- Fragment. `told`: the spans, cut at five minutes: from `a` to `b`, in us after the list's time. OFFSET 0: they are
-- measured once for all loads.
told AS (
    SELECT ven_id, bucket, us_between(ts, greatest(starts, bucket)) AS a,
           us_between(ts, least(ends, bucket + interval '5 minutes')) AS b, load_ids, used_power_kw, shed_power_kw
    FROM (
        SELECT *, generate_series(date_bin('5 minutes', starts, '1970-01-01 00:00:00+00'),
                                  ends - interval '1 microsecond', interval '5 minutes') AS bucket
        FROM {spans}
        WHERE ends > starts
    ) AS pieces
    OFFSET 0
)

-- name: told_in_five_minutes
-- Fragment. The same if [first, last) is one five minutes: there is nothing to cut.
told AS (
    SELECT ven_id, CASE WHEN ts < first THEN us_between(ts, first) ELSE 0 END AS a, us_between(ts, ends) AS b,
           load_ids, used_power_kw, shed_power_kw
    FROM {spans}
    WHERE ends > starts
    OFFSET 0
)

-- name: list_of
-- Fragment. The list of a VEN and time (v), looked up by its key: OFFSET 0, whatever statistics the planner has.
LATERAL (SELECT * FROM ven_load_lists WHERE ven_id = v.ven_id AND ts = v.ts OFFSET 0) AS r

-- name: sums_of_load
-- Fragment. The energies of a load, from `a` to `b` us after the time of each of its lists. They are added up as doubles,
-- which costs less: within five minutes they are below 2^53 uWh, so exact.
sum((energy(used_kw, b) - CASE WHEN a > 0 THEN energy(used_kw, a) ELSE 0 END)::double precision)::bigint AS used_uwh,
coalesce(sum((energy(shed_kw, b) - CASE WHEN a > 0 THEN energy(shed_kw, a) ELSE 0 END)::double precision), 0)::bigint
    AS shed_uwh,
sum(b - a)::bigint AS covered_us

-- name: loads_of_list
-- Fragment. The loads of a list of `told`.
unnest(load_ids) AS load_id, unnest(used_power_kw) AS used_kw, unnest(shed_power_kw) AS shed_kw

-- name: add_up
-- Fragment. Adds up the loads of `told`. MATERIALIZED: sums are made in a hash table; otherwise the planner may sort all
-- samples, because rows are written in the order of their key.
energies AS MATERIALIZED (
    SELECT ven_id, load_id, bucket, {sums_of_load}
    FROM (SELECT ven_id, bucket, a, b, {loads_of_list} FROM told) AS samples
    GROUP BY ven_id, load_id, bucket
)
INSERT INTO load_power_5m SELECT * FROM energies ORDER BY ven_id, load_id, bucket

-- name: add_up_five_minutes
-- Fragment. The same if [first, last) is one five minutes: its time is left out of the key of each sample.
energies AS MATERIALIZED (
    SELECT ven_id, load_id, $1::timestamptz AS bucket, {sums_of_load}
    FROM (SELECT ven_id, a, b, {loads_of_list} FROM told) AS samples
    GROUP BY ven_id, load_id
)
INSERT INTO load_power_5m SELECT * FROM energies ORDER BY ven_id, load_id

-- name: join_by_hash
-- Until the transaction ends, joins that can be made by a hash table are, whatever statistics the planner has.
SET LOCAL enable_nestloop = off

-- name: found_in_step
-- Fragment. $1, $2: from, to, both at five minutes. `found`: the lists that may speak. Writes the open lists. A list that
-- came late, but before its time is counted, is counted with it (`forgotten`).
WITH forgotten AS (DELETE FROM late_lists WHERE ts >= $1 AND ts < $2), lists AS (
    SELECT ven_id, ts, $1::timestamptz AS first, $2::timestamptz AS last FROM loads_open WHERE until > $1
    UNION ALL
    SELECT ven_id, ts, $1, $2 FROM ven_load_lists
    WHERE {counted_at} >= $1 AND {counted_at} < $2 AND ts >= $1 AND ts < $2
), {vens}, opened AS (
    INSERT INTO loads_open
    SELECT v.ven_id, v.last_ts, v.last_ts + h.hold
    FROM vens v
    LEFT JOIN hold_spans h ON v.last_ts >= h.since AND v.last_ts < h.before
    WHERE v.last_ts >= $1
    ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until
), found AS (
    SELECT {list_and_times} FROM ven_load_lists r JOIN {many_vens} AS v ON v.ven_id = r.ven_id
    WHERE {counted_at} >= $1 AND {counted_at} < $2 AND r.ts >= $1 AND r.ts < $2
    UNION ALL
    SELECT {list_and_times}
    FROM (SELECT v.*, o.ts FROM loads_open o JOIN vens v ON v.ven_id = o.ven_id WHERE o.until > $1) AS v
    CROSS JOIN {list_of}
)

-- name: count_lists
-- $1, $2: from, to, both at five minutes. Counts the loads, and writes the open lists.
{found_in_step}, {told}, {add_up}

-- name: count_five_minutes
-- The same if that is one five minutes, as it is while the leader keeps up.
{found_in_step}, {told_in_five_minutes}, {add_up_five_minutes}

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
-- Fragment. A condition of a list (r): it is not noted as late. As a scalar subquery, the note is looked up by key, row
-- by row.
(SELECT l.ts FROM late_lists l WHERE l.ven_id = r.ven_id AND l.ts = r.ts) IS NULL

-- name: count_loads
-- Lists that are still noted as late are left for a later redo. Before a stretch, the last counted list is enough.
WITH lists AS (
    SELECT u.ven_id, t.ts, u.first, u.last
    FROM stretches u
    JOIN LATERAL (
        SELECT ts FROM (
            SELECT ts FROM ven_load_lists r
            WHERE r.ven_id = u.ven_id AND r.ts >= u.first - (SELECT max(hold) FROM holds) AND r.ts < u.first
              AND {counted_list}
            ORDER BY r.ts DESC LIMIT 1
        ) AS carried
        UNION ALL
        SELECT ts FROM ven_load_lists r
        WHERE r.ven_id = u.ven_id AND r.ts >= u.first AND r.ts < u.last AND {counted_list}
        OFFSET 0
    ) AS t ON true
), {vens}, found AS (
    SELECT {list_and_times} FROM (SELECT *, unnest(times) AS ts FROM vens) AS v CROSS JOIN {list_of}
), {told}, {add_up}

-- name: reopen_lists
-- $1: the watermark of loads. Writes the open lists of VENs whose stretch reaches it.
INSERT INTO loads_open
SELECT s.ven_id, t.ts, t.ts + h.hold
FROM (SELECT DISTINCT ven_id FROM stretches WHERE last = $1::timestamptz) AS s
JOIN LATERAL (
    SELECT ts FROM ven_load_lists r
    WHERE r.ven_id = s.ven_id AND r.ts >= $1::timestamptz - (SELECT max(hold) FROM holds) AND r.ts < $1::timestamptz
      AND {counted_list}
    ORDER BY r.ts DESC LIMIT 1
) AS t ON true
LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
ON CONFLICT (ven_id) DO UPDATE SET ts = excluded.ts, until = excluded.until

-- name: first_at
-- Fragment. The five minutes of the first list that may speak at $1.
date_bin('5 minutes', $1 - (SELECT max(hold) FROM holds), '1970-01-01 00:00:00+00')

-- name: in_recount
-- Fragment. A condition of a list (r): it may speak in [$1, $2), and is not noted as late.
{counted_at} >= {first_at} AND {counted_at} < $2
AND ts >= $1 - (SELECT max(hold) FROM holds) AND ts < $2
AND NOT EXISTS (SELECT 1 FROM late_lists l WHERE l.ven_id = r.ven_id AND l.ts = r.ts)

-- name: recount_loads
-- $1, $2: from, to, both at five minutes. Lists that are noted as late are left for a redo.
WITH lists AS (
    SELECT ven_id, ts, $1::timestamptz AS first, $2::timestamptz AS last
    FROM ven_load_lists r
    WHERE {in_recount}
), {vens}, found AS (
    SELECT {list_and_times} FROM ven_load_lists r JOIN {many_vens} AS v ON v.ven_id = r.ven_id WHERE {in_recount}
), {told}, {add_up}
