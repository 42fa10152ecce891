-- What the leader asks besides counting.

-- name: change_hold
-- $1 interval: VEN_OFFLINE_AFTER, how long readings from now on speak -> true when that is new
WITH latest AS (
    SELECT since, hold FROM holds ORDER BY since DESC LIMIT 1
), begun AS (
    -- Before anything is counted, the new hold applies to all readings.
    UPDATE holds SET hold = $1::interval
    WHERE (SELECT watermark FROM rollup_state) = '-infinity' AND hold <> $1::interval
    RETURNING true AS changed
), changed AS (
    INSERT INTO holds (since, hold)
    SELECT greatest(clock_timestamp(), s.closing), $1::interval
    FROM rollup_state s, latest
    WHERE latest.hold <> $1::interval AND s.watermark <> '-infinity'
    RETURNING true AS changed
)
SELECT changed FROM begun UNION ALL SELECT changed FROM changed LIMIT 1

-- name: just_late
-- $1 interval -> how many late readings lie at most so long before the watermark
SELECT count(*)
FROM rollup_state s
JOIN late_readings l ON l.ts >= s.watermark - $1::interval AND l.ts < s.watermark

-- name: progress
-- -> the watermarks of VENs and of loads in s since the epoch (null: nothing is counted yet), and how many late readings
-- and lists wait (a hundred thousand of each at most are counted)
SELECT CASE WHEN isfinite(watermark) THEN extract(epoch FROM watermark)::float8 END AS watermark,
       CASE WHEN isfinite(loads_watermark) THEN extract(epoch FROM loads_watermark)::float8 END AS loads_watermark,
       (SELECT count(*) FROM (
           (SELECT 1 FROM late_readings LIMIT 100000) UNION ALL (SELECT 1 FROM late_lists LIMIT 100000)
       ) AS notes) AS waiting
FROM rollup_state

-- name: count_vens
-- $1 interval: VEN_OFFLINE_AFTER -> how many VENs are known, and how many are online
SELECT count(*) AS known, count(*) FILTER (WHERE alive_at >= now() - $1::interval) AS online
FROM ven_signs
