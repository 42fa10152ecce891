-- name: pages
-- $1: the partition -> how many pages it has; null: there is no such partition
SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::integer

-- name: read
-- $1, $2: from page, to page, of {partition}
SELECT count(*) FROM {partition} WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid
