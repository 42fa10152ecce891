-- What doctor asks of the database.

-- name: login
-- -> who it is, and whether it is a superuser
SELECT current_user::text, current_setting('is_superuser') = 'on'

-- name: migrations
-- -> whether the table of migrations is there
SELECT to_regclass('_yoyo_migration') IS NOT NULL

-- name: applied
-- -> the names of the migrations that the database has had
SELECT migration_id FROM _yoyo_migration
