-- What is dropped, and when. The bounds of a partition are read from its definition in the catalog (pg_get_expr).

-- name: expired_days
-- $1: raw rows before this have outlived RAW_RETENTION_DAYS -> the end of the last day that may be dropped: it ended
-- by $1, and everything until a hold after it is counted; null: there is none, or older history is still being counted
-- from raw rows
SELECT max(days.ends)
FROM (
    SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS ends
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ven_telemetry'::regclass
) AS days, rollup_state s
WHERE days.ends <= $1
  AND days.ends + (SELECT max(hold) FROM holds) <= least(s.watermark, s.loads_watermark)
  AND s.history_from = '-infinity' AND s.loads_history_from = '-infinity'

-- name: move_raw_from
-- $1: raw rows before this are dropped -> raw_from, a hold later: rows before it are no longer taken. The lock is that
-- of make_raw_day.
WITH locked AS (SELECT pg_advisory_xact_lock(1701016949) IS NULL AS got)
UPDATE rollup_state
SET raw_from = greatest(raw_from, $1::timestamptz + (SELECT max(hold) FROM holds))
FROM locked
RETURNING raw_from

-- name: late_before
-- $1 -> whether a late reading or list from before then waits to be counted
SELECT EXISTS (SELECT 1 FROM late_readings WHERE ts < $1) OR EXISTS (SELECT 1 FROM late_lists WHERE ts < $1)

-- name: move_bound
-- {bound}: a column of rollup_state. $1: rows of its tiers before this have outlived their retention -> where its tiers
-- begin now: at a bucket of the widest tier, so that no row is dropped before the wider tiers hold its sums.
UPDATE rollup_state
SET {bound} = greatest({bound}, date_bin({widest}, least($1::timestamptz, watermark, loads_watermark),
                                         '1970-01-01 00:00:00+00'))
RETURNING {bound}

-- name: delete_before
-- {table}: a table of the network, which has no partitions. $1: where it begins now
DELETE FROM {table} WHERE bucket < $1

-- name: expired_partitions
-- $1 text: a partitioned table; $2: partitions that end by then have expired -> for each, the oldest first, the
-- statements that drop it
SELECT c.relname AS partition, i.inhdetachpending AS half_detached,
       format('COMMENT ON TABLE %I IS ''expired''', c.relname) AS comment,
       format('ALTER TABLE %s DETACH PARTITION %I CONCURRENTLY', i.inhparent::regclass, c.relname) AS detach,
       format('ALTER TABLE %s DETACH PARTITION %I FINALIZE', i.inhparent::regclass, c.relname) AS finalize,
       format('DROP TABLE %I', c.relname) AS drop
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = $1::text::regclass
  AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= $2
ORDER BY c.relname

-- name: detached_partitions
-- $1 text: a partitioned table -> its partitions that were detached but not dropped, because the drop was interrupted
SELECT c.relname AS partition, format('DROP TABLE %I', c.relname) AS drop
FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::text::regclass)
  AND c.relname ~ ('^' || $1 || '_\d{8}$') AND obj_description(c.oid, 'pg_class') = 'expired'
  AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)

-- name: delete_dead_letters
-- $1: dead letters not seen since have outlived DEAD_LETTER_RETENTION_DAYS
DELETE FROM dead_letters WHERE received_at < $1

-- name: dead_letters_bytes
-- -> how many bytes of the disk dead letters take, indexes included
SELECT pg_total_relation_size('dead_letters')

-- name: trim_dead_letters
-- $1 bigint: so many bytes of dead letters stay, those seen last. 512 bytes are added for the rest of a row.
DELETE FROM dead_letters AS d
USING (
    SELECT id, sum(octet_length(payload) + octet_length(topic) + octet_length(error) + 512)
        OVER (ORDER BY received_at DESC, id DESC) AS bytes
    FROM dead_letters
) AS newest
WHERE newest.id = d.id AND newest.bytes > $1

-- name: vacuum_dead_letters
-- Makes the space of deleted rows usable at once; the table's file hardly shrinks.
VACUUM dead_letters
