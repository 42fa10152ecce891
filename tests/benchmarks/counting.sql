-- Rows for the benchmark of counting, in the order of time, as the generator's messages are stored.

-- name: make_day
-- $1: a time in the day
SELECT make_raw_day(date_bin('1 day', $1::timestamptz, 'epoch'))

-- name: telemetry
-- $1, $2: from, until; $3: from one reading of a VEN to its next; $4: VENs, each at a moment of its own
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, requested_reduction_kw, event_id, payload,
                           received_at, lists_loads)
SELECT 'bench-' || lpad(v::text, 5, '0'), t + v % 1000 * $3::interval / 1000, round((9 * sin(v + i))::numeric, 3), 0.5, 1,
       'evt-9', ('"' || repeat('x', 1400) || '"')::json, t, true
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', $3::interval) WITH ORDINALITY AS times (t, i),
     generate_series(0, $4::integer - 1) AS v
ORDER BY t, v % 1000, v

-- name: lists
-- $1, $2: from, until: eight loads of each reading
INSERT INTO ven_load_lists (ven_id, ts, load_ids, load_types, names, used_power_kw, shed_capability_kw, capacity_kw)
SELECT t.ven_id, t.ts, array_agg(t.ven_id || '-' || l), array_agg('water_heater'::text), array_agg('Load number ' || l),
       array_agg(round((7 * sin(l + t.used_power_kw))::numeric, 3)), array_agg(0.5), array_agg(7.5)
FROM ven_telemetry t, generate_series(0, 7) AS l
WHERE t.ts >= $1::timestamptz AND t.ts < $2::timestamptz
GROUP BY t.ven_id, t.ts
ORDER BY t.ts, t.ven_id
