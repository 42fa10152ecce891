-- The role stays if another database of the server uses it, or if an administrator made it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ecs_api') THEN
        REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM ecs_api;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ecs_api') THEN
        DROP ROLE ecs_api;
    END IF;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    NULL;
END
$$;
