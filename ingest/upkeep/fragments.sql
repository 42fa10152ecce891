-- Fragments that several statements of the leader share. Everywhere: LEFT JOIN hold_spans, though each reading has its
-- hold. So the planner may not go through the readings anew for each hold that there ever was.

-- name: five_minutes
-- The start of the five minutes that $1 lies in.
date_bin('5 minutes', $1::timestamptz, '1970-01-01 00:00:00+00')

-- name: sums
-- Of rows of VENs or of the network.
sum(used_uwh), sum(shed_uwh), sum(requested_uwh), sum(covered_us), sum(event_us), max(event_id)

-- name: load_sums
-- Of rows of loads.
sum(used_uwh), sum(shed_uwh), sum(covered_us)

-- name: add_to_network
-- Adds the sums of a row to those of its bucket (n), which is there already.
used_uwh = n.used_uwh + excluded.used_uwh, shed_uwh = n.shed_uwh + excluded.shed_uwh,
requested_uwh = n.requested_uwh + excluded.requested_uwh, covered_us = n.covered_us + excluded.covered_us,
event_us = n.event_us + excluded.event_us, event_id = greatest(n.event_id, excluded.event_id)

-- name: bulk_rows
-- `seen`: the readings of [$1, $2), each with the end of its hold (until).
seen AS MATERIALIZED (
    SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw, {requested} AS requested_kw,
           t.event_id, t.ts + h.hold AS until
    FROM ven_telemetry t
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= $1::timestamptz AND t.ts < $2::timestamptz

-- name: bulk_pieces
-- `pieces`: the time for which each reading of `carried_and_seen` speaks (until its VEN's next, at most for its hold),
-- cut at minutes.
spans AS MATERIALIZED (
    SELECT *, lead(ts) OVER (PARTITION BY ven_id ORDER BY ts) AS next_ts FROM carried_and_seen
), cut AS (
    SELECT *, generate_series(date_bin('1 minute', starts, '1970-01-01 00:00:00+00'),
                              ends - interval '1 microsecond', interval '1 minute') AS minute
    FROM (
        SELECT *, greatest(ts, $1) AS starts, least(next_ts, until, $2) AS ends FROM spans
    ) AS limited
    WHERE ends > starts
), pieces AS MATERIALIZED (
    SELECT ven_id, minute, {piece_sums}, CASE WHEN ts >= minute AND ts >= $1 THEN event_id END AS event_id
    FROM (
        SELECT *, us_between(ts, greatest(starts, minute)) AS a,
               us_between(ts, least(ends, minute + interval '1 minute')) AS b
        FROM cut
    ) AS measured

-- name: bulk_write
-- Writes `pieces` into the narrowest tiers.
minutes AS (
    INSERT INTO network_power_1m SELECT minute, {sums} FROM pieces GROUP BY minute
), vens AS (
    INSERT INTO ven_power_5m
    SELECT ven_id, date_bin('5 minutes', minute, '1970-01-01 00:00:00+00'), {sums}
    FROM pieces
    GROUP BY 1, 2
    RETURNING *
), network AS (
    INSERT INTO network_power_5m SELECT bucket, {sums} FROM vens GROUP BY bucket

-- name: stretches
-- What `picked` changes: whole five minutes of a VEN, until $1 at most. Five minutes that touch are one stretch.
INSERT INTO stretches
SELECT ven_id, min(first), max(last)
FROM (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY ven_id ORDER BY ts) AS number
    FROM (
        SELECT *, coalesce(first > max(last) OVER (PARTITION BY ven_id ORDER BY ts
                                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS begins
        FROM (
            SELECT ven_id, ts, date_bin('5 minutes', ts, '1970-01-01 00:00:00+00') AS first,
                   least(date_bin('5 minutes', ts + (SELECT max(hold) FROM holds) + interval '299.999999 seconds',
                                  '1970-01-01 00:00:00+00'), $1::timestamptz) AS last
            FROM picked
        ) AS changed
    ) AS parted
) AS numbered
GROUP BY ven_id, number
