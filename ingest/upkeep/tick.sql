-- Counting: energies and covered times of [watermark, next watermark) are added to the open sums. A tick or a leap is
-- one transaction with the move of the watermark; docs/architecture.md, "Rollups", says why.

-- name: state
-- -> rollup_state; begun: whether counting has begun
SELECT closing, watermark, loads_watermark, raw_from, history_from, loads_history_from, isfinite(watermark) AS begun
FROM rollup_state

-- name: move_closing
-- $1: from now on, writers note as late what they store before this
UPDATE rollup_state SET closing = $1 WHERE closing < $1

-- name: begin
-- $1: a time. Counting begins with the bucket of the widest tier that this or the first reading lies in, whichever is
-- earlier. If it has begun, raw rows are not read.
UPDATE rollup_state
SET watermark = begins.at, loads_watermark = begins.at
FROM (
    SELECT date_bin({widest}, least(min(ts), $1::timestamptz), '1970-01-01 00:00:00+00') AS at
    FROM ven_telemetry
    WHERE ts >= (SELECT raw_from FROM rollup_state) AND (SELECT watermark FROM rollup_state) = '-infinity'
) AS begins
WHERE watermark = '-infinity'

-- name: move_watermark
-- $1: from; $2: to; $3: first reading in between (null: none)
UPDATE rollup_state
SET watermark = $2, first_at = least(first_at, $3::timestamptz)
WHERE watermark = $1

-- name: forgotten
-- Fragment. A reading that was noted as late, but came before its time is counted, is counted with it. In the statement
-- that reads raw rows: a note that comes after them is left for a redo, because its reading was not seen either.
forgotten AS (DELETE FROM late_readings WHERE ts >= $1 AND ts < $2)

-- name: tick
-- $1, $2: from, to, within one minute -> how many readings were counted, and the time of the first.
-- OFFSET 0: readings are found by their time and then sorted; otherwise the planner may walk a whole index in the order
-- of its key. `ctid >= '(0,0)'`: all rows of ven_open, page by page, because nearly all are needed.
-- Energies of VENs are added up as doubles, which costs less: within a minute they are below 2^53 uWh, so exact.
WITH {forgotten}, reported AS (
    SELECT ven_id, count(*) AS readings, min(ts) AS first_ts, max(ts) AS ts,
           max(until) FILTER (WHERE next_ts IS NULL) AS until,
           max(used_kw) FILTER (WHERE next_ts IS NULL) AS used_kw,
           max(shed_kw) FILTER (WHERE next_ts IS NULL) AS shed_kw,
           max(requested_kw) FILTER (WHERE next_ts IS NULL) AS requested_kw,
           sum(energy(used_kw, us)::double precision)::bigint AS used_uwh,
           sum(energy(shed_kw, us)::double precision)::bigint AS shed_uwh,
           coalesce(sum(energy(requested_kw, us)::double precision), 0)::bigint AS requested_uwh,
           sum(us)::bigint AS covered_us,
           coalesce(sum(us) FILTER (WHERE requested_kw IS NOT NULL), 0)::bigint AS event_us,
           max(event_id) AS event_id
    FROM (
        SELECT *, us_between(ts, least(next_ts, until, $2)) AS us
        FROM (
            SELECT *, lead(ts) OVER (PARTITION BY ven_id ORDER BY ts) AS next_ts
            FROM (
                SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw,
                       {requested} AS requested_kw, t.event_id, t.ts + h.hold AS until
                FROM ven_telemetry t
                LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
                WHERE t.ts >= $1::timestamptz AND t.ts < $2::timestamptz
                OFFSET 0
            ) AS seen
        ) AS followed
    ) AS spoken
    GROUP BY ven_id
), vens AS MATERIALIZED (
    -- What VENs reported, beside what the last reading before $1 (open) says until its VEN's next, in us after its own
    -- time: from `a` to `b` since $1, from `open_a` to `b` since its row was written, the present five minutes only.
    -- `same`: the sums in its row are of the present five minutes, so they are added to.
    SELECT *, us_between(open_ts, least(greatest(upto, {five_minutes}), ends)) AS open_a,
           us_between(open_ts, least($1, ends)) AS a, us_between(open_ts, ends) AS b
    FROM (
        SELECT r.*, o.place, o.ts AS open_ts, o.used_kw AS open_used_kw, o.shed_kw AS open_shed_kw,
               o.requested_kw AS open_requested_kw, o.upto, o.bucket = {five_minutes} AS same,
               greatest(least(r.first_ts, o.until, $2), o.upto) AS ends
        FROM (SELECT *, ctid AS place FROM ven_open WHERE ctid >= '(0,0)') AS o
        FULL JOIN reported r ON r.ven_id = o.ven_id
        WHERE o.until > $1 OR r.ven_id IS NOT NULL
    ) AS met
), updated AS (
    -- By their place: nobody else changes rows of ven_open while the leader counts.
    UPDATE ven_open AS o SET
        ts = v.ts, until = v.until, used_kw = v.used_kw, shed_kw = v.shed_kw, requested_kw = v.requested_kw,
        upto = $2, bucket = {five_minutes},
        used_uwh = v.used_uwh + CASE WHEN v.same THEN o.used_uwh ELSE 0 END
            + energy(o.used_kw, v.b) - energy(o.used_kw, v.open_a),
        shed_uwh = v.shed_uwh + CASE WHEN v.same THEN o.shed_uwh ELSE 0 END
            + energy(o.shed_kw, v.b) - energy(o.shed_kw, v.open_a),
        requested_uwh = v.requested_uwh + CASE WHEN v.same THEN o.requested_uwh ELSE 0 END
            + coalesce(energy(o.requested_kw, v.b) - energy(o.requested_kw, v.open_a), 0),
        covered_us = v.covered_us + CASE WHEN v.same THEN o.covered_us ELSE 0 END + (v.b - v.open_a)::bigint,
        event_us = v.event_us + CASE WHEN v.same THEN o.event_us ELSE 0 END
            + CASE WHEN o.requested_kw IS NOT NULL THEN (v.b - v.open_a)::bigint ELSE 0 END,
        event_id = greatest(v.event_id, CASE WHEN v.same THEN o.event_id END)
    FROM vens v
    WHERE o.ctid = v.place AND v.readings > 0
), inserted AS (
    INSERT INTO ven_open (ven_id, ts, until, used_kw, shed_kw, requested_kw, upto, bucket,
                          used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id)
    SELECT ven_id, ts, until, used_kw, shed_kw, requested_kw, $2, {five_minutes},
           used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id
    FROM vens
    WHERE place IS NULL
), network AS (
    INSERT INTO network_power_1m AS n
    SELECT date_bin('1 minute', $1, '1970-01-01 00:00:00+00'), {sums}
    FROM (
        SELECT coalesce(used_uwh, 0) + coalesce(energy(open_used_kw, b) - energy(open_used_kw, a), 0) AS used_uwh,
               coalesce(shed_uwh, 0) + coalesce(energy(open_shed_kw, b) - energy(open_shed_kw, a), 0) AS shed_uwh,
               coalesce(requested_uwh, 0)
                   + coalesce(energy(open_requested_kw, b) - energy(open_requested_kw, a), 0) AS requested_uwh,
               coalesce(covered_us, 0) + coalesce((b - a)::bigint, 0) AS covered_us,
               coalesce(event_us, 0)
                   + CASE WHEN open_requested_kw IS NOT NULL THEN (b - a)::bigint ELSE 0 END AS event_us,
               event_id
        FROM vens
    ) AS parts
    HAVING count(*) > 0
    ON CONFLICT (bucket) DO UPDATE SET {add_to_network}
)
SELECT coalesce(sum(readings), 0)::bigint AS readings, min(first_ts) AS first FROM vens

-- name: close_vens
-- $1, $2: from, to, of five minutes that are over. Writes the rows of VENs and of the network.
WITH vens AS (
    INSERT INTO ven_power_5m
    SELECT ven_id, $1,
           CASE WHEN bucket = $1 THEN used_uwh ELSE 0 END
               + CASE WHEN b > a THEN energy(used_kw, b) - energy(used_kw, a) ELSE 0 END,
           CASE WHEN bucket = $1 THEN shed_uwh ELSE 0 END
               + CASE WHEN b > a THEN energy(shed_kw, b) - energy(shed_kw, a) ELSE 0 END,
           CASE WHEN bucket = $1 THEN requested_uwh ELSE 0 END
               + CASE WHEN b > a THEN coalesce(energy(requested_kw, b) - energy(requested_kw, a), 0) ELSE 0 END,
           CASE WHEN bucket = $1 THEN covered_us ELSE 0 END + CASE WHEN b > a THEN (b - a)::bigint ELSE 0 END,
           CASE WHEN bucket = $1 THEN event_us ELSE 0 END
               + CASE WHEN b > a AND requested_kw IS NOT NULL THEN (b - a)::bigint ELSE 0 END,
           CASE WHEN bucket = $1 THEN event_id END
    FROM (
        SELECT *, us_between(ts, greatest(upto, $1::timestamptz)) AS a,
               us_between(ts, least(until, $2::timestamptz)) AS b
        FROM ven_open
    ) AS o
    WHERE bucket = $1 OR b > a
    RETURNING *
)
INSERT INTO network_power_5m
SELECT $1, {sums} FROM vens HAVING count(*) > 0

-- name: forget_silent
-- $1: the watermark, at the end of five minutes. Deletes the rows of readings that no longer speak: their sums are in
-- the tiers.
DELETE FROM ven_open WHERE until <= $1

-- name: leap
-- $1, $2: from, to, both at five minutes -> how many readings were counted, and the time of the first
WITH {forgotten}, {bulk_rows}
), carried_and_seen AS (
    SELECT ven_id, ts, used_kw, shed_kw, requested_kw, NULL::text AS event_id, until
    FROM ven_open
    WHERE until > $1
    UNION ALL
    SELECT * FROM seen
), {bulk_pieces}
), opened AS (
    INSERT INTO ven_open (ven_id, ts, until, used_kw, shed_kw, requested_kw, upto, bucket,
                          used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id)
    SELECT ven_id, ts, until, used_kw, shed_kw, requested_kw, $2, $2, 0, 0, 0, 0, 0, NULL
    FROM spans
    WHERE next_ts IS NULL AND ts >= $1
    ON CONFLICT (ven_id) DO UPDATE SET
        ts = excluded.ts, until = excluded.until, used_kw = excluded.used_kw, shed_kw = excluded.shed_kw,
        requested_kw = excluded.requested_kw, upto = excluded.upto, bucket = excluded.bucket,
        used_uwh = 0, shed_uwh = 0, requested_uwh = 0, covered_us = 0, event_us = 0, event_id = NULL
), {bulk_write}
)
SELECT count(*) AS readings, min(ts) AS first FROM seen
