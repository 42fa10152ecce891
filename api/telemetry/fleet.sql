-- The present state of the VENs that have sent messages.

-- name: page
-- $1 interval: VEN_OFFLINE_AFTER; $2 boolean: only online or offline ones (null: both); $3 text: how their ids begin
-- (empty: any); $4 text: after this id (empty: from the first); $5 integer: at most so many -> VENs by id
SELECT v.ven_id, coalesce(s.alive_at >= now() - $1::interval, false) AS online, v.last_seen_at, v.status, v.status_at,
       v.used_power_kw, v.shed_power_kw, v.battery_soc, v.event_id,
       (SELECT count(*) FROM current_loads l WHERE l.ven_id = v.ven_id) AS load_count
FROM vens v
JOIN ven_signs s ON s.ven_id = v.ven_id
WHERE v.ven_id > $4::text AND starts_with(v.ven_id, $3::text)
  AND ($2::boolean IS NULL OR coalesce(s.alive_at >= now() - $1::interval, false) = $2::boolean)
ORDER BY v.ven_id
LIMIT $5::integer

-- name: total
-- $1..$3 as in page -> how many VENs there are on all pages
SELECT count(*) AS total
FROM ven_signs s
WHERE starts_with(s.ven_id, $3::text)
  AND ($2::boolean IS NULL OR coalesce(s.alive_at >= now() - $1::interval, false) = $2::boolean)

-- name: one
-- $1 interval: VEN_OFFLINE_AFTER; $2 text: a VEN -> the columns of page; no row: it has sent no message
SELECT v.ven_id, coalesce(s.alive_at >= now() - $1::interval, false) AS online, v.last_seen_at, v.status, v.status_at,
       v.used_power_kw, v.shed_power_kw, v.battery_soc, v.event_id,
       (SELECT count(*) FROM current_loads l WHERE l.ven_id = v.ven_id) AS load_count
FROM vens v
JOIN ven_signs s ON s.ven_id = v.ven_id
WHERE v.ven_id = $2::text
