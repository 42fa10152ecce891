-- What power's integral is, for ingest, which counts it, and for the api, which reads what is not counted yet.

-- name: requested
-- Fragment. What a reading (t) asks for; null unless it names an event.
CASE WHEN t.event_id IS NOT NULL THEN coalesce(t.requested_reduction_kw, 0) END

-- name: piece_sums
-- Fragment. What a reading or sample says from `a` to `b` us after its time.
energy(used_kw, b) - energy(used_kw, a) AS used_uwh,
energy(shed_kw, b) - energy(shed_kw, a) AS shed_uwh,
coalesce(energy(requested_kw, b) - energy(requested_kw, a), 0) AS requested_uwh,
(b - a)::bigint AS covered_us,
CASE WHEN requested_kw IS NOT NULL THEN (b - a)::bigint ELSE 0 END AS event_us
