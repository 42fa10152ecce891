-- name: state
-- %(role)s: the role of the api -> whether it exists, and whether the login may act as it
SELECT r.oid IS NOT NULL,
       coalesce(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(r.oid, 'SET')
                     ELSE pg_has_role(r.oid, 'MEMBER') END, false)
FROM (SELECT 1) AS one LEFT JOIN pg_roles r ON r.rolname = %(role)s

-- name: create
-- {role}: its name.
CREATE ROLE {role} NOLOGIN

-- name: join
-- {role}: its name.
GRANT {role} TO CURRENT_USER

-- name: unreadable
-- %(role)s: its name -> the login's tables and views that the role may not read yet; not partitions, which are read
-- through their table
SELECT c.relname
FROM pg_roles r, pg_class c
WHERE r.rolname = %(role)s AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))
  AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
  AND pg_has_role(c.relowner, 'USAGE') AND NOT has_table_privilege(r.oid, c.oid, 'SELECT')
ORDER BY c.relname

-- name: grant
-- {table}, {role}: their names.
GRANT SELECT ON {table} TO {role}
