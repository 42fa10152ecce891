-- The role stays while another database of the server uses it.
REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM ecs_api;

DO $$
BEGIN
    DROP ROLE ecs_api;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;
END
$$;
