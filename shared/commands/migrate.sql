-- name: rights
-- -> whether the login may make tables, and, if another role owns the tables, which
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
       (SELECT pg_get_userbyid(relowner)::text FROM pg_class
        WHERE relname = 'vens' AND relnamespace = to_regnamespace(quote_ident(current_schema()))
          AND NOT pg_has_role(relowner, 'USAGE'))
