-- Rows for the read benchmark, in the order of time, as they would have come.

-- name: telemetry
-- $1, $2: from, until; $3: VENs; $4: payload
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, requested_reduction_kw, event_id, battery_soc,
                           payload, received_at)
SELECT 'ven-' || lpad(v::text, 5, '0'), t + v % 60 * interval '1 second', 2 + sin(v + extract(epoch FROM t) / 7200),
       CASE WHEN v % 7 = 0 THEN 0.5 ELSE 0 END, CASE WHEN v % 7 = 0 THEN 1.0 END, CASE WHEN v % 7 = 0 THEN 'evt-1' END,
       0.5, $4::text::json, t
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', interval '1 minute') AS t,
     generate_series(1, $3::integer) AS v

-- name: lists
-- $1, $2: from, until; $3: VENs; $4: loads
INSERT INTO ven_load_lists
SELECT 'ven-' || lpad(v::text, 5, '0'), t + v % 60 * interval '1 second', array_agg('load-' || l),
       array_agg((ARRAY['hvac', 'ev', 'pool_pump', 'water_heater'])[l % 4 + 1]), array_agg('Load ' || l),
       array_agg(0.25 + sin(v + l + extract(epoch FROM t) / 7200) / 8), array_agg(0), array_agg(0.2), array_agg(3.5)
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 minute', interval '1 minute') AS t,
     generate_series(1, $3::integer) AS v, generate_series(1, $4::integer) AS l
GROUP BY t, v
ORDER BY t, v

-- name: vens
INSERT INTO vens (ven_id, first_seen_at, last_seen_at, telemetry_ts, used_power_kw, shed_power_kw,
                  requested_reduction_kw, event_id, loads_ts, status, status_at)
SELECT DISTINCT ON (ven_id) ven_id, ts, now(), ts, used_power_kw, shed_power_kw, requested_reduction_kw, event_id, ts,
       'online', ts
FROM ven_telemetry
WHERE ts > (SELECT max(ts) FROM ven_telemetry) - interval '2 minutes'
ORDER BY ven_id, ts DESC

-- name: sizes
-- -> table, rows, bytes with indexes, over all partitions
SELECT coalesce(p.relname, c.relname), sum(s.n_live_tup)::bigint, sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c
JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE coalesce(p.relname, c.relname) ~ '^(ven_telemetry|ven_load_lists|(ven|load|network)_power_[15]+m)$'
  AND c.relkind = 'r'
GROUP BY 1
ORDER BY 1
