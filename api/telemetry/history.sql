-- Histories of a VEN and of a load, and what the network's are made of. What each number means: docs/architecture.md,
-- "Meaning of the numbers". A VEN's or a load's is one statement, so that all of it is of one moment: rollups up to the
-- watermark, raw rows from there to now, and raw rows where late readings wait to be counted. Scalar subqueries let the
-- executor skip partitions. LEFT JOIN hold_spans: each reading has its hold, and the planner may not look readings up
-- anew for each hold that there ever was.

-- name: sums
-- Fragment.
sum(used_uwh)::bigint AS used_uwh, sum(shed_uwh)::bigint AS shed_uwh, sum(requested_uwh)::bigint AS requested_uwh,
sum(covered_us)::bigint AS covered_us, sum(event_us)::bigint AS event_us, max(event_id) AS event_id

-- name: now
-- Fragment. Where answers end: no reading speaks beyond now. Never before the watermark.
greatest(now(), (SELECT watermark FROM rollup_state))

-- name: cut
-- Fragment. `pieces`: the time for which each reading of `spans` speaks in its stretch, cut at base buckets of {base}.
pieces AS (
    SELECT bucket, {piece_sums}, CASE WHEN ts >= bucket AND ts >= first THEN event_id END AS event_id
    FROM (
        SELECT *, us_between(ts, greatest(starts, bucket)) AS a, us_between(ts, least(ends, bucket + {base})) AS b
        FROM (
            SELECT *, generate_series(date_bin({base}, starts, '1970-01-01 00:00:00+00'),
                                      ends - interval '1 microsecond', {base}) AS bucket
            FROM (SELECT *, greatest(ts, first) AS starts, least(next_ts, until, last) AS ends FROM spans) AS limited
            WHERE ends > starts
        ) AS cut
    ) AS measured
)

-- name: stretches
-- Fragment. `stretches`: where raw rows are read. They are the base buckets that late readings change, and everything
-- from the tier's end to now.
closed AS MATERIALIZED (
    SELECT CASE WHEN isfinite({watermark}) THEN date_bin({base}, {watermark}, '1970-01-01 00:00:00+00')
                ELSE '-infinity' END AS until
    FROM rollup_state
), late AS MATERIALIZED (
    SELECT DISTINCT generate_series(date_bin({base}, ts, '1970-01-01 00:00:00+00'),
                                    ts + (SELECT max(hold) FROM holds), {base}) AS bucket
    FROM {late}
    WHERE ven_id = $5::text AND ts < least($2::timestamptz, (SELECT until FROM closed))
      AND ts >= $1::timestamptz - (SELECT max(hold) FROM holds)
      AND ts >= (SELECT raw_from FROM rollup_state)
), stretches AS (
    SELECT bucket AS first, bucket + {base} AS last
    FROM late
    WHERE bucket >= $1::timestamptz AND bucket < least($2::timestamptz, (SELECT until FROM closed))
    UNION ALL
    SELECT greatest($1::timestamptz, until), least($2::timestamptz, {now}) FROM closed
    WHERE greatest($1::timestamptz, until) < least($2::timestamptz, {now})
)

-- name: grouped
-- Fragment. Sums up base buckets to the buckets asked for. `now`: how far the open bucket reaches.
SELECT bucket_of(bucket, $3::interval, $4::timestamptz[]) AS start, {sums}, {now} AS now
FROM base
GROUP BY 1
ORDER BY 1

-- name: as_kept
-- Fragment. The buckets asked for are the tier's own: its rows as they are, and sums where raw rows are read. A bucket
-- that the tier holds is over, so its `now` is null.
SELECT bucket AS start, used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id, NULL::timestamptz AS now
FROM kept
UNION ALL
SELECT bucket, {sums}, {now} FROM pieces GROUP BY bucket
ORDER BY 1

-- name: summed
-- Fragment. The buckets asked for are wider than the tier's: its rows and the pieces of raw rows are summed up.
, base AS (SELECT * FROM kept UNION ALL SELECT * FROM pieces)
{grouped}

-- name: asked_for
-- Fragment. What any stretch of the range allows (no hold is longer than a day). It adds nothing to the conditions
-- beside it, but is known when the statement starts: partitions of other days are left out of the plan by then.
r.ts >= $1::timestamptz - interval '1 day' AND r.ts < $2::timestamptz

-- name: ven_readings
-- Fragment. `spans`: the last reading before each stretch, and those in it. LATERAL and OFFSET 0: each stretch is
-- looked up by itself, whatever statistics the planner has.
spans AS (
    SELECT s.first, s.last, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw,
           {requested} AS requested_kw, t.event_id,
           t.ts + h.hold AS until, lead(t.ts) OVER (PARTITION BY s.first ORDER BY t.ts) AS next_ts
    FROM stretches s
    JOIN LATERAL (
        SELECT * FROM (
            SELECT * FROM ven_telemetry r
            WHERE r.ven_id = $5::text AND r.ts >= s.first - (SELECT max(hold) FROM holds) AND r.ts < s.first
              AND {asked_for}
            ORDER BY r.ts DESC LIMIT 1
        ) AS carried
        UNION ALL
        SELECT * FROM ven_telemetry r
        WHERE r.ven_id = $5::text AND r.ts >= s.first AND r.ts < s.last AND {asked_for}
        OFFSET 0
    ) AS t ON true
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
)

-- name: load_samples
-- Fragment. The same for a load: a sample speaks until its VEN's next list of loads, even if the load is not in that.
lists AS MATERIALIZED (
    SELECT s.first, s.last, t.ts, t.ts + h.hold AS until, lead(t.ts) OVER (PARTITION BY s.first ORDER BY t.ts) AS next_ts,
           t.place, t.used_power_kw[t.place] AS used_kw, coalesce(t.shed_power_kw[t.place], 0) AS shed_kw
    FROM stretches s
    JOIN LATERAL (
        SELECT *, array_position(load_ids, $6::text) AS place FROM (
            SELECT * FROM ven_load_lists r
            WHERE r.ven_id = $5::text AND r.ts >= s.first - (SELECT max(hold) FROM holds) AND r.ts < s.first
              AND {asked_for}
            ORDER BY r.ts DESC LIMIT 1
        ) AS carried
        UNION ALL
        SELECT *, array_position(load_ids, $6::text)
        FROM ven_load_lists r
        WHERE r.ven_id = $5::text AND r.ts >= s.first AND r.ts < s.last AND {asked_for}
        OFFSET 0
    ) AS t ON true
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
), spans AS (
    SELECT *, NULL::double precision AS requested_kw, NULL::text AS event_id FROM lists WHERE place IS NOT NULL
)

-- name: ven_tier
-- $1, $2: from, until; $3 interval: width of a bucket; $4 timestamptz[]: or its edges; $5: VEN
WITH asked AS (SELECT $3::interval, $4::timestamptz[]), {stretches}, {ven_readings}, {cut}, kept AS (
    SELECT bucket, used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id
    FROM {table}
    WHERE ven_id = $5::text AND bucket >= $1::timestamptz
      AND bucket < least($2::timestamptz, (SELECT until FROM closed)) AND bucket NOT IN (SELECT bucket FROM late)
)
{answer}

-- name: ven_raw
-- $1, $2: from, until; $3 interval: width of a bucket; $4: null; $5: VEN
WITH stretches AS (SELECT $1::timestamptz AS first, least($2::timestamptz, {now}) AS last), {ven_readings}, {cut},
base AS (SELECT * FROM pieces)
{grouped}

-- name: load_tier
-- $1, $2: from, until; $3 interval: width of a bucket; $4 timestamptz[]: or its edges; $5: VEN; $6: load
WITH asked AS (SELECT $3::interval, $4::timestamptz[]), {stretches}, {load_samples}, {cut}, kept AS (
    SELECT bucket, used_uwh, shed_uwh, 0::bigint AS requested_uwh, covered_us, 0::bigint AS event_us, NULL::text AS event_id
    FROM {table}
    WHERE ven_id = $5::text AND load_id = $6::text AND bucket >= $1::timestamptz
      AND bucket < least($2::timestamptz, (SELECT until FROM closed)) AND bucket NOT IN (SELECT bucket FROM late)
)
{answer}

-- name: load_raw
-- $1, $2: from, until; $3 interval: width of a bucket; $4: null; $5: VEN; $6: load
WITH stretches AS (SELECT $1::timestamptz AS first, least($2::timestamptz, {now}) AS last), {load_samples}, {cut},
base AS (SELECT * FROM pieces)
{grouped}

-- name: network_tier
-- $1, $2: from, until, at most where the tier ends; $3 interval: width of a bucket; $4 timestamptz[]: or its edges ->
-- in any order: with ORDER BY, the planner would sort every row of the tier
SELECT bucket_of(bucket, $3::interval, $4::timestamptz[]) AS start, {sums}
FROM {table}
WHERE bucket >= $1::timestamptz AND bucket < $2::timestamptz AND covered_us > 0
GROUP BY 1

-- name: network_raw
-- $1, $2: from, until; $3 interval: width of a bucket; $4: null. Each VEN's last reading before $1 is found by its key.
WITH readings AS (
    SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw, t.requested_reduction_kw, t.event_id
    FROM ven_telemetry t
    WHERE t.ts >= $1::timestamptz AND t.ts < least($2::timestamptz, {now})
    UNION ALL
    SELECT v.ven_id, t.ts, t.used_power_kw, t.shed_power_kw, t.requested_reduction_kw, t.event_id
    FROM vens v
    JOIN LATERAL (
        SELECT * FROM ven_telemetry r
        WHERE r.ven_id = v.ven_id AND r.ts < $1::timestamptz AND r.ts >= $1::timestamptz - (SELECT max(hold) FROM holds)
        ORDER BY r.ts DESC LIMIT 1
    ) AS t ON true
), spans AS (
    SELECT r.ven_id, r.ts, r.used_kw, r.shed_kw, r.event_id, t.until, $1::timestamptz AS first,
           least($2::timestamptz, {now}) AS last,
           CASE WHEN r.event_id IS NOT NULL THEN coalesce(r.requested_reduction_kw, 0) END AS requested_kw,
           lead(r.ts) OVER (PARTITION BY r.ven_id ORDER BY r.ts) AS next_ts
    FROM readings r
    LEFT JOIN LATERAL (
        SELECT r.ts + h.hold AS until FROM hold_spans h WHERE r.ts >= h.since AND r.ts < h.before
    ) AS t ON true
), {cut}, base AS (SELECT * FROM pieces)
{grouped}

-- name: network_live
-- $1: when today began in the dashboard's time zone -> the network by minute, from T0 (where the widest tier ends) to
-- now; and the same in every row: T0, now, the energy of today before T0, where the network and each tier begin
WITH state AS MATERIALIZED (
    SELECT *, {now} AS now, CASE WHEN isfinite(watermark)
               THEN date_bin({width_network}, watermark, '1970-01-01 00:00:00+00') ELSE 'epoch' END AS t0
    FROM rollup_state
), seen AS MATERIALIZED (
    SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw,
           {requested} AS requested_kw, t.event_id,
           t.ts + h.hold AS until, lead(t.ts) OVER (PARTITION BY t.ven_id ORDER BY t.ts) AS next_ts,
           row_number() OVER (PARTITION BY t.ven_id ORDER BY t.ts) AS number
    FROM ven_telemetry t
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= (SELECT watermark FROM state) AND t.ts < (SELECT now FROM state)
), spans AS (
    SELECT ts, used_kw, shed_kw, requested_kw, event_id, until, next_ts,
           (SELECT watermark FROM state) AS first, (SELECT now FROM state) AS last
    FROM seen
    UNION ALL
    SELECT o.ts, o.used_kw, o.shed_kw, o.requested_kw, NULL, o.until, s.ts,
           (SELECT watermark FROM state), (SELECT now FROM state)
    FROM ven_open o
    LEFT JOIN (SELECT ven_id, ts FROM seen WHERE number = 1) AS s ON s.ven_id = o.ven_id
    WHERE o.until > (SELECT watermark FROM state)
), {cut}, minutes AS (
    SELECT bucket, {sums}
    FROM (
        SELECT bucket, used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id FROM network_power_1m
        WHERE bucket >= (SELECT t0 FROM state)
        UNION ALL
        SELECT * FROM pieces
    ) AS parts
    GROUP BY bucket
)
SELECT m.*, s.t0, s.now, {begins},
       least(s.first_at, (SELECT min(ts) FROM seen), (SELECT min(ts) FROM late_readings)) AS first_at,
       (SELECT coalesce(sum(used_uwh), 0)::bigint FROM network_power_15m
        WHERE bucket >= $1::timestamptz AND bucket < s.t0) AS today_uwh
FROM state s
LEFT JOIN minutes m ON true
ORDER BY m.bucket

-- name: network_before
-- $1 -> the network's last row of the widest tier that ended by then and has covered time
SELECT bucket AS start, bucket + {width_network} AS until, used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id
FROM {widest_network}
WHERE bucket <= $1::timestamptz - {width_network} AND covered_us > 0
ORDER BY bucket DESC
LIMIT 1

-- name: ven_before
-- $1; $2: VEN -> the same of a VEN
SELECT bucket AS start, bucket + {width_ven} AS until, used_uwh, shed_uwh, requested_uwh, covered_us, event_us, event_id
FROM {widest_ven}
WHERE ven_id = $2::text AND bucket <= $1::timestamptz - {width_ven}
ORDER BY bucket DESC
LIMIT 1

-- name: load_before
-- $1; $2: VEN; $3: load -> the same of a load
SELECT bucket AS start, bucket + {width_load} AS until, used_uwh, shed_uwh, 0::bigint AS requested_uwh, covered_us,
       0::bigint AS event_us, NULL::text AS event_id
FROM {widest_load}
WHERE ven_id = $2::text AND load_id = $3::text AND bucket <= $1::timestamptz - {width_load}
ORDER BY bucket DESC
LIMIT 1
