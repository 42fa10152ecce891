-- Partitions of the raw tables.

-- name: make_raw_day
-- $1 bigint: start of a UTC day, us -> whether it has partitions now; false if it is before raw_from
SELECT make_raw_day('epoch'::timestamptz + $1::bigint * interval '1 microsecond')

-- name: raw_from
-- -> the time before which no raw rows are taken, in us; null: only the contract's bound counts
SELECT CASE WHEN isfinite(raw_from) THEN (extract(epoch FROM raw_from) * 1000000)::bigint END FROM rollup_state
