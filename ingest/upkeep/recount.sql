-- A stretch of closed time is counted again as a whole, from raw rows.

-- name: recount
-- $1, $2: from, to, both at five minutes. Readings that are noted as late are left for a redo.
WITH carried_and_seen AS (
    SELECT t.ven_id, t.ts, t.used_power_kw AS used_kw, t.shed_power_kw AS shed_kw, {requested} AS requested_kw,
           t.event_id, t.ts + h.hold AS until
    FROM ven_telemetry t
    LEFT JOIN hold_spans h ON t.ts >= h.since AND t.ts < h.before
    WHERE t.ts >= $1::timestamptz - (SELECT max(hold) FROM holds) AND t.ts < $2::timestamptz
      AND NOT EXISTS (SELECT 1 FROM late_readings l WHERE l.ven_id = t.ven_id AND l.ts = t.ts)
), {bulk_pieces}
), {bulk_write}
)
SELECT count(*) FROM vens

-- name: first_whole
-- -> the first bucket of the widest tier for which all raw rows are there: the first that begins at or after raw_from,
-- or that of the first reading if no raw rows were dropped yet; null: there are no readings
SELECT CASE WHEN isfinite(raw_from)
            THEN date_bin({widest}, raw_from + {widest} - interval '1 microsecond', '1970-01-01 00:00:00+00')
            ELSE (SELECT date_bin({widest}, min(ts), '1970-01-01 00:00:00+00') FROM ven_telemetry) END
FROM rollup_state

-- name: move_history_from
-- $1: VENs and the network are counted exactly from here on; null: everywhere
UPDATE rollup_state SET history_from = coalesce($1::timestamptz, '-infinity')

-- name: move_loads_history_from
-- $1: loads are counted exactly from here on; null: everywhere
UPDATE rollup_state SET loads_history_from = coalesce($1::timestamptz, '-infinity')
