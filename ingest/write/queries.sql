-- The statements of ingest's writer besides COPY. Times are bound and returned as bigint microseconds since the Unix
-- epoch (exact, and cheaper to bind than timestamps).

-- name: insert_vens
-- $1 text[]: VENs never seen before; $2 bigint[]: arrival
INSERT INTO vens (ven_id, first_seen_at)
SELECT u.ven_id, 'epoch'::timestamptz + u.at * interval '1 microsecond'
FROM unnest($1::text[], $2::bigint[]) AS u (ven_id, at)
ORDER BY 1
ON CONFLICT DO NOTHING

-- name: update_vens
-- $1..$14: the fields of Signs (vens.py), sorted by VEN. The latest reading is the one whose telemetry_at, the earlier
-- of its time and its arrival, is greatest.
UPDATE vens AS v SET
    last_seen_at = greatest(v.last_seen_at, n.alive),
    offline_at = greatest(v.offline_at, n.offline),
    telemetry_ts = CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.ts ELSE v.telemetry_ts END,
    telemetry_received_at =
        CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.received ELSE v.telemetry_received_at END,
    telemetry_at = greatest(v.telemetry_at, n.at),
    used_power_kw = CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.used ELSE v.used_power_kw END,
    shed_power_kw = CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.shed ELSE v.shed_power_kw END,
    requested_reduction_kw =
        CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.requested ELSE v.requested_reduction_kw END,
    event_id = CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.event_id ELSE v.event_id END,
    battery_soc = CASE WHEN n.at > coalesce(v.telemetry_at, '-infinity') THEN n.soc ELSE v.battery_soc END,
    loads_ts = CASE WHEN n.loads_at > coalesce(v.loads_at, '-infinity') THEN n.loads_ts ELSE v.loads_ts END,
    loads_at = greatest(v.loads_at, n.loads_at),
    lateness = coalesce(n.lateness, v.lateness),
    clock_offset = coalesce(n.clock, v.clock_offset)
FROM (
    SELECT u.ven_id, u.used, u.shed, u.requested, u.event_id, u.soc, u.lateness, u.clock,
           timezone('UTC', 'epoch'::timestamp + u.alive * interval '1 microsecond') AS alive,
           timezone('UTC', 'epoch'::timestamp + u.offline * interval '1 microsecond') AS offline,
           timezone('UTC', 'epoch'::timestamp + u.ts * interval '1 microsecond') AS ts,
           timezone('UTC', 'epoch'::timestamp + u.received * interval '1 microsecond') AS received,
           timezone('UTC', 'epoch'::timestamp + least(u.ts, u.received) * interval '1 microsecond') AS at,
           timezone('UTC', 'epoch'::timestamp + u.loads_ts * interval '1 microsecond') AS loads_ts,
           timezone('UTC', 'epoch'::timestamp + u.loads_at * interval '1 microsecond') AS loads_at
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::float8[], $7::float8[],
                $8::float8[], $9::text[], $10::float8[], $11::bigint[], $12::bigint[], $13::float8[], $14::float8[])
         AS u (ven_id, alive, offline, ts, received, used, shed, requested, event_id, soc, loads_ts, loads_at,
               lateness, clock)
) AS n
WHERE v.ven_id = n.ven_id

-- name: learn_loads
-- $1..$10: the columns of ven_loads, sorted by key, each key once. The function `merge` in loads.py has the same rule.
INSERT INTO ven_loads AS k (ven_id, load_id, ts, sampled, load_type, name, capacity_kw,
                            snapshot_ts, shed_capability_kw, used_power_kw)
SELECT u.ven_id, u.load_id, 'epoch'::timestamptz + u.ts * interval '1 microsecond', u.sampled, u.load_type, u.name,
       u.capacity_kw, 'epoch'::timestamptz + u.snapshot * interval '1 microsecond', u.shed_capability_kw,
       u.used_power_kw
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[], $5::text[], $6::text[], $7::float8[],
            $8::bigint[], $9::float8[], $10::float8[])
     AS u (ven_id, load_id, ts, sampled, load_type, name, capacity_kw, snapshot, shed_capability_kw, used_power_kw)
ON CONFLICT (ven_id, load_id) DO UPDATE SET
    ts = greatest(k.ts, excluded.ts),
    sampled = k.sampled OR excluded.sampled,
    load_type = CASE WHEN excluded.ts > k.ts THEN coalesce(excluded.load_type, k.load_type)
                     ELSE coalesce(k.load_type, excluded.load_type) END,
    name = CASE WHEN excluded.ts > k.ts THEN coalesce(excluded.name, k.name)
                ELSE coalesce(k.name, excluded.name) END,
    capacity_kw = CASE WHEN excluded.ts > k.ts THEN coalesce(excluded.capacity_kw, k.capacity_kw)
                       ELSE coalesce(k.capacity_kw, excluded.capacity_kw) END,
    snapshot_ts = greatest(k.snapshot_ts, excluded.snapshot_ts),
    shed_capability_kw =
        CASE WHEN excluded.snapshot_ts > coalesce(k.snapshot_ts, '-infinity')
             THEN coalesce(excluded.shed_capability_kw, k.shed_capability_kw)
             ELSE coalesce(k.shed_capability_kw, excluded.shed_capability_kw) END,
    used_power_kw =
        CASE WHEN excluded.snapshot_ts > coalesce(k.snapshot_ts, '-infinity')
             THEN coalesce(excluded.used_power_kw, k.used_power_kw)
             ELSE coalesce(k.used_power_kw, excluded.used_power_kw) END
WHERE excluded.snapshot_ts IS NOT NULL
   OR (excluded.sampled AND NOT k.sampled)
   OR (excluded.ts > k.ts AND (excluded.load_type, excluded.name, excluded.capacity_kw)
                               IS DISTINCT FROM (k.load_type, k.name, k.capacity_kw))

-- name: lock_statuses
-- $1 text[]: VENs with new statuses -> their current status. The lock makes two writers take turns.
SELECT ven_id, status, (extract(epoch FROM status_at) * 1000000)::bigint AS status_at,
       (extract(epoch FROM status_received_at) * 1000000)::bigint AS received_at
FROM vens
WHERE ven_id = ANY ($1::text[])
ORDER BY ven_id
FOR UPDATE

-- name: read_transitions
-- $1 text[]: VENs; $2 bigint[]: oldest arrival of a new status of each -> the transitions by arrival, beginning with
-- the last one that arrived before that
SELECT s.ven_id, s.status, (extract(epoch FROM s.recorded_at) * 1000000)::bigint AS recorded_at,
       (extract(epoch FROM s.received_at) * 1000000)::bigint AS received_at
FROM unnest($1::text[], $2::bigint[]) AS u (ven_id, oldest)
JOIN LATERAL (
    SELECT coalesce(max(p.received_at), '-infinity') AS since
    FROM ven_statuses p
    WHERE p.ven_id = u.ven_id AND p.received_at <= 'epoch'::timestamptz + u.oldest * interval '1 microsecond'
) AS before ON true
JOIN ven_statuses s ON s.ven_id = u.ven_id AND s.received_at >= before.since
ORDER BY s.ven_id, s.received_at, s.recorded_at

-- name: read_known_statuses
-- $1 text[]: VENs; $2 text[]: a status of each -> the pairs of which the VEN had the status before
SELECT u.ven_id, u.status
FROM unnest($1::text[], $2::text[]) AS u (ven_id, status)
WHERE EXISTS (SELECT 1 FROM ven_statuses s WHERE s.ven_id = u.ven_id AND s.status = u.status)

-- name: update_statuses
-- $1 text[]: VENs, sorted; $2 text[]: current status; $3 bigint[]: its time; $4 bigint[]: its arrival
UPDATE vens AS v SET
    status = u.status,
    status_at = timezone('UTC', 'epoch'::timestamp + u.at * interval '1 microsecond'),
    status_received_at = timezone('UTC', 'epoch'::timestamp + u.received * interval '1 microsecond')
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS u (ven_id, status, at, received)
WHERE v.ven_id = u.ven_id

-- name: read_deliveries
-- $1: client id; $2 integer[]: packet ids -> the last message that arrived with each
SELECT mid, message_sha256
FROM status_deliveries
WHERE client_id = $1 AND mid = ANY ($2::integer[])

-- name: write_deliveries
-- $1: client id; $2 integer[]: packet ids, each once; $3 bytea[]: sha256 of topic and payload;
-- $4 bigint[]: arrival
INSERT INTO status_deliveries (client_id, mid, message_sha256, arrived_at)
SELECT $1, u.mid, u.sha, 'epoch'::timestamptz + u.at * interval '1 microsecond'
FROM unnest($2::integer[], $3::bytea[], $4::bigint[]) AS u (mid, sha, at)
ON CONFLICT (client_id, mid) DO UPDATE
    SET message_sha256 = excluded.message_sha256, arrived_at = excluded.arrived_at

-- name: insert_dead_letters
-- $1 bytea[]: sha256 of topic and payload, sorted, each once; $2 bigint[]: arrival; $3 bigint[]: times seen;
-- $4 text[]: topic; $5 bytea[]: payload, perhaps cut; $6 bigint[]: its whole size in bytes; $7 text[]: error;
-- $8 bytea[]: sha256 of its kind; $9 text[]: its VEN, or null
INSERT INTO dead_letters AS d (message_sha256, received_at, times_seen, topic, payload, payload_bytes, error,
                               kind_sha256, ven_id)
SELECT u.sha, 'epoch'::timestamptz + u.at * interval '1 microsecond', u.times, u.topic, u.payload, u.size, u.error,
       u.kind, u.ven
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::bytea[],
            $9::text[])
     AS u (sha, at, times, topic, payload, size, error, kind, ven)
ON CONFLICT (message_sha256) DO UPDATE
    SET received_at = greatest(d.received_at, excluded.received_at), times_seen = d.times_seen + excluded.times_seen

-- name: read_dead_letter_kinds
-- $1 bytea[]: kinds of dead letters -> the kinds that are in the table
SELECT DISTINCT kind_sha256 FROM dead_letters WHERE kind_sha256 = ANY ($1::bytea[])

-- name: write_flaws
-- $1 text[]: VENs; $2 text[]: kinds (sorted pairs, each once); $3 bigint[]: arrival of the latest; $4 bigint[]: how many;
-- $5 text[]: topic of the latest; $6 text[]: its reason
INSERT INTO ven_flaws AS f (ven_id, kind, first_at, last_at, times, topic, reason)
SELECT u.ven_id, u.kind, 'epoch'::timestamptz + u.at * interval '1 microsecond',
       'epoch'::timestamptz + u.at * interval '1 microsecond', u.times, u.topic, u.reason
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
     AS u (ven_id, kind, at, times, topic, reason)
ON CONFLICT (ven_id, kind) DO UPDATE
    SET last_at = greatest(f.last_at, excluded.last_at), times = f.times + excluded.times,
        topic = excluded.topic, reason = excluded.reason

-- name: claim_lists
-- $1..$4 as in read_stored -> the readings that had no list of loads. They are marked as having one, so that no other
-- process gives them loads.
UPDATE ven_telemetry AS t SET lists_loads = true
FROM unnest($1::text[], $2::bigint[]) AS u (ven_id, ts)
WHERE t.ven_id = u.ven_id AND t.ts = timezone('UTC', 'epoch'::timestamp + u.ts * interval '1 microsecond')
  AND t.ts >= timezone('UTC', 'epoch'::timestamp + $3::bigint * interval '1 microsecond')
  AND t.ts <= timezone('UTC', 'epoch'::timestamp + $4::bigint * interval '1 microsecond')
  AND NOT t.lists_loads
RETURNING u.ven_id, u.ts

-- name: read_stored
-- $1 text[], $2 bigint[]: VENs and times of readings, as pairs; $3, $4: the first and the last of these times
-- -> the stored reading of each: the panel, and the ids and powers of the loads (null: none)
SELECT t.ven_id, u.ts, t.used_power_kw AS used, t.shed_power_kw AS shed, t.requested_reduction_kw AS requested,
       t.event_id, t.battery_soc AS soc, l.load_ids, l.powers
FROM unnest($1::text[], $2::bigint[]) AS u (ven_id, ts)
JOIN ven_telemetry t ON t.ven_id = u.ven_id AND t.ts = 'epoch'::timestamptz + u.ts * interval '1 microsecond'
    AND t.ts >= 'epoch'::timestamptz + $3::bigint * interval '1 microsecond'
    AND t.ts <= 'epoch'::timestamptz + $4::bigint * interval '1 microsecond'
CROSS JOIN LATERAL (
    SELECT array_agg(s.load_id) AS load_ids, array_agg(s.used_power_kw) AS powers
    FROM ven_load_samples s
    WHERE s.ven_id = t.ven_id AND s.ts = t.ts
      AND s.ts >= 'epoch'::timestamptz + $3::bigint * interval '1 microsecond'
      AND s.ts <= 'epoch'::timestamptz + $4::bigint * interval '1 microsecond'
) AS l

-- name: create_incoming
-- Telemetry is copied into this table first if some of it may be stored already.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_telemetry (LIKE ven_telemetry) ON COMMIT DELETE ROWS

-- name: merge_incoming
-- -> the keys that were not stored before
INSERT INTO ven_telemetry
SELECT * FROM incoming_telemetry
ON CONFLICT DO NOTHING
RETURNING ven_id, (extract(epoch FROM ts) * 1000000)::bigint AS ts

-- name: closing
-- -> the time up to which readings are counted, in us; null: none are counted
SELECT CASE WHEN isfinite(closing) THEN (extract(epoch FROM closing) * 1000000)::bigint END FROM rollup_state

-- name: note_late_readings
-- $1 text[], $2 bigint[]: readings that came after their time was counted; $3 boolean[]: whether they list loads
WITH late AS (
    SELECT u.ven_id, 'epoch'::timestamptz + u.ts * interval '1 microsecond' AS ts, u.lists_loads
    FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS u (ven_id, ts, lists_loads)
), lists AS (
    INSERT INTO late_lists (ven_id, ts) SELECT ven_id, ts FROM late WHERE lists_loads
)
INSERT INTO late_readings (ven_id, ts) SELECT ven_id, ts FROM late

-- name: note_late_lists
-- $1 text[], $2 bigint[]: readings that are counted, whose lists of loads came after their time was counted
INSERT INTO late_lists (ven_id, ts)
SELECT u.ven_id, 'epoch'::timestamptz + u.ts * interval '1 microsecond'
FROM unnest($1::text[], $2::bigint[]) AS u (ven_id, ts)
