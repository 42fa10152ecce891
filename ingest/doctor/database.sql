-- The statements of doctor.

-- name: login
-- -> the login, and whether it is a superuser
SELECT current_user::text, current_setting('is_superuser') = 'on'

-- name: migrations
-- -> whether the table of migrations exists
SELECT to_regclass('_yoyo_migration') IS NOT NULL

-- name: applied
-- -> the names of the applied migrations
SELECT migration_id FROM _yoyo_migration
