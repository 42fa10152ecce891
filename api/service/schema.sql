-- What /health/db-check asks of the database.

-- name: missing_tables
-- $1 text[]: tables -> those that are not there
SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL

-- name: applied_migrations
-- -> the names of the migrations that the database has had
SELECT migration_id FROM _yoyo_migration
