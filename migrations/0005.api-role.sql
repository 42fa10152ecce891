-- The role the api reads as. Roles belong to the whole server, so another database may have made it.
-- depends: 0004.current-loads

DO $$
BEGIN
    CREATE ROLE ecs_api NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

DO $$ BEGIN EXECUTE format('GRANT ecs_api TO %I', current_user); END $$;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO ecs_api;
