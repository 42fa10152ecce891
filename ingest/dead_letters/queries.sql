-- The statements of `ecs-backend dead-letters`. `{chosen}`: the condition for the rows that the command line means.

-- name: chosen
-- $1 text: part of the reason; $2 text: the VEN; $3 timestamptz: seen since; each may be null. A fragment.
($1::text IS NULL OR position(lower($1) IN lower(error)) > 0)
AND ($2::text IS NULL OR ven_id = $2)
AND ($3::timestamptz IS NULL OR received_at >= $3)

-- name: count
-- $1..$3: chosen -> how many, and the greatest id of them
SELECT count(*) AS letters, coalesce(max(id), 0) AS last FROM dead_letters WHERE {chosen}

-- name: list
-- $1..$3: chosen; $4: how many at most -> the latest
SELECT id, received_at, times_seen, ven_id, topic, error
FROM dead_letters
WHERE {chosen}
ORDER BY received_at DESC, id DESC
LIMIT $4

-- name: get
-- $1: id -> the row
SELECT id, received_at, times_seen, ven_id, topic, error, payload, payload_bytes FROM dead_letters WHERE id = $1

-- name: next
-- $1..$3: chosen; $4: after this id; $5: up to this id; $6: how many at most -> by id; arrival in us since the epoch
SELECT id, (extract(epoch FROM received_at) * 1000000)::bigint AS received_at, topic, payload, payload_bytes
FROM dead_letters
WHERE {chosen} AND id > $4 AND id <= $5
ORDER BY id
LIMIT $6

-- name: delete
-- $1 bigint[]: ids
DELETE FROM dead_letters WHERE id = ANY ($1::bigint[])

-- name: explain
-- $1 bigint[]: ids; $2 text[]: why each cannot be stored; $3 text[]: its VEN, or null
UPDATE dead_letters AS d SET error = u.error, ven_id = coalesce(u.ven_id, d.ven_id)
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS u (id, error, ven_id)
WHERE d.id = u.id
