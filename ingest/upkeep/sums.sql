-- Statements that are the same for each table of sums. {table}: its name; {ids}: the columns of its ids; {sums}: the
-- sums that its rows hold; {width}: of its tier; {source}: the table of the narrower tier that it is summed from.

-- name: make_month
-- $1: a time in the month. Makes the partitions of every tier.
SELECT make_rollup_month($1)

-- name: start
-- Fragment. The start of the tier's bucket that a row of the source lies in.
date_bin({width}, bucket, '1970-01-01 00:00:00+00')

-- name: sum_up
-- $1, $2: from, to, both at the tier's width
INSERT INTO {table}
SELECT {ids} {start}, {sums} FROM {source} WHERE bucket >= $1 AND bucket < $2 GROUP BY {ids} {start}

-- name: delete_between
-- $1, $2: from, to
DELETE FROM {table} WHERE bucket >= $1 AND bucket < $2

-- name: delete_stretches
-- Deletes the buckets that stretches touch.
DELETE FROM {table} r USING stretches u
WHERE r.ven_id = u.ven_id AND r.bucket > u.first - {width} AND r.bucket < u.last

-- name: sum_up_stretches
-- $1: the watermark. Sums up the buckets that stretches touch and that ended by then.
WITH keys AS (
    SELECT DISTINCT ven_id, generate_series(date_bin({width}, first, '1970-01-01 00:00:00+00'),
                                            last - interval '1 microsecond', {width}) AS starts
    FROM stretches
)
INSERT INTO {table}
SELECT {ids} starts, {sums}
FROM keys
JOIN {source} USING (ven_id)
WHERE bucket >= starts AND bucket < starts + {width} AND starts + {width} <= $1::timestamptz
GROUP BY {ids} starts

-- name: add_difference
-- $1: the watermark, or the end of the tier's last whole bucket before it. Adds what a redo changed to the network's
-- rows. Sums are whole numbers, so adding a difference is exact.
INSERT INTO {table} AS n
SELECT date_bin({width}, minute, '1970-01-01 00:00:00+00'), sum(sign * used_uwh), sum(sign * shed_uwh),
       sum(sign * requested_uwh), sum(sign * covered_us), sum(sign * event_us), max(event_id) FILTER (WHERE after)
FROM (SELECT *, CASE WHEN after THEN 1 ELSE -1 END AS sign FROM redone) AS changes
WHERE minute < $1::timestamptz
GROUP BY 1
HAVING bool_or(after)
ON CONFLICT (bucket) DO UPDATE SET {add_to_network}
