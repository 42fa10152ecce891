-- Statements that more than one part of the upkeep makes.

-- name: make_rollup_month
-- $1: a time in the month
SELECT make_rollup_month($1)

-- name: quarters
-- $1, $2: from, to, both at fifteen minutes: 15-minute rows from 5-minute rows
WITH vens AS (
    INSERT INTO ven_power_15m
    SELECT ven_id, {quarter}, {sums} FROM ven_power_5m WHERE bucket >= $1 AND bucket < $2 GROUP BY 1, 2
    RETURNING *
)
INSERT INTO network_power_15m
SELECT bucket, {sums} FROM vens GROUP BY bucket
