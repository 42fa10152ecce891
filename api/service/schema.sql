-- The statements of /health/db-check.

-- name: missing_tables
-- $1 text[]: tables -> those that do not exist
SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL

-- name: applied_migrations
-- -> the names of the applied migrations
SELECT migration_id FROM _yoyo_migration
