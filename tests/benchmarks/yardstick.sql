-- The least that a sum over time can cost: one window of VEN and time, for one power.

-- name: window
-- $1, $2: from, until: the energy (kWs) and the covered time (s) of each VEN
SELECT ven_id, sum(used_power_kw * seconds), sum(seconds)
FROM (
    SELECT ven_id, used_power_kw, date_part('epoch', least(next_ts, $2) - ts) AS seconds
    FROM (
        SELECT ven_id, ts, used_power_kw, lead(ts) OVER (PARTITION BY ven_id ORDER BY ts) AS next_ts
        FROM ven_telemetry
        WHERE ts >= $1 AND ts < $2
    ) AS followed
) AS spoken
GROUP BY ven_id

-- name: last_minute
-- -> the minute before the watermark, and how many readings are of it
SELECT watermark - interval '1 minute' AS since, watermark AS until,
       (SELECT count(*) FROM ven_telemetry WHERE ts >= watermark - interval '1 minute' AND ts < watermark) AS readings
FROM rollup_state
