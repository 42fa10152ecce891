-- What the api asks of the database besides histories (history.sql).

-- name: ven_range
-- {ven} -> start, last: where its stored data begins and ends (null: there is none), and now; no row: no such VEN
SELECT least(
           (SELECT bucket FROM {widest_ven} WHERE ven_id = {ven} ORDER BY bucket LIMIT 1),
           (SELECT min(ts) FROM late_readings WHERE ven_id = {ven}),
           (SELECT ts FROM ven_telemetry
            WHERE ven_id = {ven} AND ts >= (SELECT {closed} FROM rollup_state)
            ORDER BY ts LIMIT 1)
       ) AS start,
       greatest(
           greatest(
               v.telemetry_ts,
               (SELECT ts FROM ven_telemetry
                WHERE ven_id = {ven} AND ts >= (SELECT {closed} - (SELECT max(hold) FROM holds) FROM rollup_state)
                ORDER BY ts DESC LIMIT 1),
               (SELECT max(ts) FROM late_readings WHERE ven_id = {ven})
           ) + (SELECT max(hold) FROM holds),
           (SELECT bucket FROM {widest_ven} WHERE ven_id = {ven} ORDER BY bucket DESC LIMIT 1)
               + {width_ven}
       ) AS last,
       greatest(now(), s.watermark) AS now, true AS known
FROM vens v, rollup_state s
WHERE v.ven_id = {ven}

-- name: load_range
-- {ven}, {load} -> the same of one load; `known`: whether the VEN ever named it
SELECT least(
           (SELECT bucket FROM {widest_load}
            WHERE ven_id = {ven} AND load_id = {load} ORDER BY bucket LIMIT 1),
           (SELECT min(ts) FROM late_lists WHERE ven_id = {ven}),
           (SELECT ts FROM ven_load_lists
            WHERE ven_id = {ven} AND {load} = ANY (load_ids) AND ts >= (SELECT {loads_closed} FROM rollup_state)
            ORDER BY ts LIMIT 1)
       ) AS start,
       greatest(
           (SELECT ts FROM ven_load_lists
            WHERE ven_id = {ven} AND {load} = ANY (load_ids)
              AND ts >= (SELECT {loads_closed} - (SELECT max(hold) FROM holds) FROM rollup_state)
            ORDER BY ts DESC LIMIT 1) + (SELECT max(hold) FROM holds),
           (SELECT bucket FROM {widest_load}
            WHERE ven_id = {ven} AND load_id = {load} ORDER BY bucket DESC LIMIT 1) + {width_load},
           (SELECT max(ts) FROM late_lists WHERE ven_id = {ven}) + (SELECT max(hold) FROM holds)
       ) AS last,
       greatest(now(), s.watermark) AS now,
       EXISTS (SELECT 1 FROM ven_loads WHERE ven_id = {ven} AND load_id = {load})
           OR EXISTS (SELECT 1 FROM {widest_load} WHERE ven_id = {ven} AND load_id = {load}) AS known
FROM vens v, rollup_state s
WHERE v.ven_id = {ven}

-- name: range_and_history
-- {range}, {history}: the range of what is stored as the first row, in columns of a history, and then the history, in
-- one statement, so that it is one round trip
SELECT start, NULL::bigint AS used_uwh, NULL::bigint AS shed_uwh, NULL::bigint AS requested_uwh,
       NULL::bigint AS covered_us, NULL::bigint AS event_us, NULL::text AS event_id, now, last, known
FROM ({range}) AS stored
UNION ALL
SELECT *, NULL, NULL FROM ({history}) AS points
ORDER BY known, start

-- name: bounds
-- -> where raw rows and each tier begin, and the network's first reading (null: none)
SELECT {begins}, CASE WHEN isfinite(first_at) THEN first_at END AS first_at FROM rollup_state

-- name: bound
-- Fragment. {column}: of rollup_state; -infinity is answered as the Unix epoch.
greatest({column}, 'epoch') AS {column}

-- name: closed
-- Fragment. Where the VENs' rows of the widest tier end.
CASE WHEN isfinite(watermark) THEN date_bin({width_ven}, watermark, '1970-01-01 00:00:00+00') ELSE watermark END

-- name: loads_closed
-- Fragment. Where the loads' rows of the widest tier end.
CASE WHEN isfinite(loads_watermark) THEN date_bin({width_load}, loads_watermark, '1970-01-01 00:00:00+00')
     ELSE loads_watermark END

-- name: ven_loads
-- $1: VEN -> its loads now; one row of nulls: it has none; no row: no such VEN
SELECT l.load_id, l.load_type, l.name, l.power_kw, l.shed_capability_kw, l.capacity_kw
FROM vens v
LEFT JOIN current_loads l ON l.ven_id = v.ven_id
WHERE v.ven_id = $1::text
ORDER BY l.load_id

-- name: load_totals
-- $1 interval: VEN_OFFLINE_AFTER -> sums over the loads of online VENs, by type; usage_kw only where the VEN's reading
-- counts
SELECT coalesce(l.load_type, 'unknown') AS load_type, sum(l.capacity_kw) AS capacity_kw,
       sum(l.shed_capability_kw) AS shed_capability_kw,
       coalesce(sum(greatest(l.power_kw, 0)) FILTER (WHERE s.spoke_at >= now() - $1::interval), 0) AS usage_kw,
       coalesce(sum(l.capacity_kw) FILTER (WHERE l.shed_capability_kw > 0), 0) AS controllable_kw
FROM ven_signs s
JOIN current_loads l ON l.ven_id = s.ven_id
WHERE s.alive_at >= now() - $1::interval
GROUP BY 1

-- name: fleet
-- $1 interval: VEN_OFFLINE_AFTER -> how many VENs there are, how many are online, and of how many online ones the
-- reading counts, with the sums of these readings
SELECT count(*) AS vens, count(*) FILTER (WHERE online) AS online, count(*) FILTER (WHERE online AND counts) AS counted,
       coalesce(sum(used_power_kw) FILTER (WHERE online AND counts), 0) AS used_kw,
       coalesce(sum(shed_power_kw) FILTER (WHERE online AND counts), 0) AS shed_kw,
       coalesce(sum(requested_reduction_kw) FILTER (WHERE online AND counts), 0) AS requested_kw
FROM (
    SELECT v.used_power_kw, v.shed_power_kw, v.requested_reduction_kw, s.alive_at >= now() - $1::interval AS online,
           s.spoke_at >= now() - $1::interval AS counts
    FROM vens v
    JOIN ven_signs s ON s.ven_id = v.ven_id
) AS each

-- name: ingest
-- -> how many readings are of the last ten seconds, the time of the newest, how many dead letters are kept, and when
-- the newest came
SELECT (SELECT count(*) FROM ven_telemetry WHERE ts >= now() - interval '10 seconds' AND ts <= now()) AS lately,
       (SELECT least(max(spoke_at), now()) FROM ven_signs) AS newest_reading,
       (SELECT count(*) FROM dead_letters) AS dead_letters,
       (SELECT max(received_at) FROM dead_letters) AS newest_dead_letter
