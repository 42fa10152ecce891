-- A day before a fleet goes live, at a reading in five minutes: the VENs of generator.py, one of them with its loads.

-- name: telemetry
-- $1, $2: from, until; $3: VENs
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, requested_reduction_kw, event_id, payload,
                           received_at)
SELECT 'bench-' || lpad(v::text, 5, '0'), t + v % 300 * interval '1 second',
       2.345 + sin(v + extract(epoch FROM t) / 7200), CASE WHEN v % 7 = 0 THEN 0.5 ELSE 0 END, 1.0, 'evt-9', '{}', t
FROM generate_series($1::timestamptz, $2::timestamptz - interval '5 minutes', interval '5 minutes') AS t,
     generate_series(0, $3::integer - 1) AS v

-- name: lists
-- $1, $2: from, until; $3: VEN; $4: loads
INSERT INTO ven_load_lists
SELECT $3::text, t, array_agg($3 || '-' || l), array_agg('hvac'::text), array_agg('Load number ' || l),
       array_agg(0.25 + sin(l + extract(epoch FROM t) / 7200) / 8), array_agg(0), array_agg(0.2), array_agg(3.5)
FROM generate_series($1::timestamptz, $2::timestamptz - interval '5 minutes', interval '5 minutes') AS t,
     generate_series(0, $4::integer - 1) AS l
GROUP BY t
ORDER BY t
