-- Partitions of the raw tables.

-- name: make_raw_day
-- $1 bigint: start of a UTC day -> whether it has partitions now; false when raw rows are not taken that far back
SELECT make_raw_day('epoch'::timestamptz + $1::bigint * interval '1 microsecond')

-- name: raw_from
-- -> how far back raw rows are taken, as us; null: as far as the contract
SELECT CASE WHEN isfinite(raw_from) THEN (extract(epoch FROM raw_from) * 1000000)::bigint END FROM rollup_state
