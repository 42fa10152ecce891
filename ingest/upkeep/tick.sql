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
-- $1, $2: from, to, within one minute -> how many readings were counted, and the time of the first. `seen` is read
-- before it is sorted (MATERIALIZED): otherwise the planner would walk a whole index in the order of its key.
WITH {forgotten}, seen AS MATERIALIZED (
    SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw, {requested} AS requested_kw,
           t.event_id, t.ts + h.hold AS until
    FROM ven_telemetry t
    JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= $1::timestamptz AND t.ts < $2::timestamptz
), reported AS MATERIALIZED (
    SELECT ven_id, min(ts) AS first_ts, max(ts) AS ts,
           max(until) FILTER (WHERE next_ts IS NULL) AS until,
           max(used_kw) FILTER (WHERE next_ts IS NULL) AS used_kw,
           max(shed_kw) FILTER (WHERE next_ts IS NULL) AS shed_kw,
           max(requested_kw) FILTER (WHERE next_ts IS NULL) AS requested_kw,
           sum(energy(used_kw, us))::bigint AS used_uwh,
           sum(energy(shed_kw, us))::bigint AS shed_uwh,
           coalesce(sum(energy(requested_kw, us)), 0)::bigint AS requested_uwh,
           sum(us)::bigint AS covered_us,
           coalesce(sum(us) FILTER (WHERE requested_kw IS NOT NULL), 0)::bigint AS event_us,
           max(event_id) AS event_id
    FROM (
        SELECT *, us_between(ts, least(next_ts, until, $2)) AS us
        FROM (SELECT *, lead(ts) OVER (PARTITION BY ven_id ORDER BY ts) AS next_ts FROM seen) AS followed
    ) AS spoken
    GROUP BY ven_id
), carried AS MATERIALIZED (
    -- What the last reading before $1 says until its VEN's next, in us after its own time: from `a` to `b` since $1,
    -- from `open_a` to `b` since its row was written, the present five minutes only. `same`: the sums in its row are of
    -- the present five minutes, so they are added to.
    SELECT o.ven_id, o.first_ts IS NOT NULL AS reported, o.used_kw, o.shed_kw, o.requested_kw,
           o.bucket = {five_minutes} AS same,
           us_between(o.ts, least(greatest(o.upto, {five_minutes}), ends)) AS open_a,
           us_between(o.ts, least($1, ends)) AS a, us_between(o.ts, ends) AS b
    FROM (
        SELECT o.*, r.first_ts, greatest(least(r.first_ts, o.until, $2), o.upto) AS ends
        FROM ven_open o
        LEFT JOIN reported r ON r.ven_id = o.ven_id
        WHERE o.until > $1 OR r.ven_id IS NOT NULL
    ) AS o
), updated AS (
    UPDATE ven_open AS o SET
        ts = r.ts, until = r.until, used_kw = r.used_kw, shed_kw = r.shed_kw, requested_kw = r.requested_kw,
        upto = $2, bucket = {five_minutes},
        used_uwh = r.used_uwh + CASE WHEN c.same THEN o.used_uwh ELSE 0 END
            + energy(c.used_kw, c.b) - energy(c.used_kw, c.open_a),
        shed_uwh = r.shed_uwh + CASE WHEN c.same THEN o.shed_uwh ELSE 0 END
            + energy(c.shed_kw, c.b) - energy(c.shed_kw, c.open_a),
        requested_uwh = r.requested_uwh + CASE WHEN c.same THEN o.requested_uwh ELSE 0 END
            + coalesce(energy(c.requested_kw, c.b) - energy(c.requested_kw, c.open_a), 0),
        covered_us = r.covered_us + CASE WHEN c.same THEN o.covered_us ELSE 0 END + (c.b - c.open_a)::bigint,
        event_us = r.event_us + CASE WHEN c.same THEN o.event_us ELSE 0 END
            + CASE WHEN c.requested_kw IS NOT NULL THEN (c.b - c.open_a)::bigint ELSE 0 END,
        event_id = greatest(r.event_id, CASE WHEN c.same THEN o.event_id END)
    FROM reported r
    JOIN carried c ON c.ven_id = r.ven_id
    WHERE o.ven_id = r.ven_id
), inserted AS (
    INSERT INTO ven_open (ven_id, ts, until, used_kw, shed_kw, requested_kw, upto, bucket,
                          used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id)
    SELECT r.ven_id, r.ts, r.until, r.used_kw, r.shed_kw, r.requested_kw, $2, {five_minutes},
           r.used_uwh, r.shed_uwh, r.requested_uwh, r.covered_us, r.event_us, r.event_id
    FROM reported r
    WHERE NOT EXISTS (SELECT 1 FROM carried c WHERE c.ven_id = r.ven_id)
), network AS (
    INSERT INTO network_power_1m AS n
    SELECT date_bin('1 minute', $1, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh), sum(requested_uwh),
           sum(covered_us), sum(event_us), max(event_id)
    FROM (
        SELECT used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id FROM reported
        UNION ALL
        SELECT energy(used_kw, b) - energy(used_kw, a), energy(shed_kw, b) - energy(shed_kw, a),
               coalesce(energy(requested_kw, b) - energy(requested_kw, a), 0), (b - a)::bigint,
               CASE WHEN requested_kw IS NOT NULL THEN (b - a)::bigint ELSE 0 END, NULL
        FROM carried
        WHERE b > a
    ) AS parts
    HAVING count(*) > 0
    ON CONFLICT (bucket) DO UPDATE SET {add_to_network}
)
SELECT count(*) AS readings, min(ts) AS first FROM seen

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
