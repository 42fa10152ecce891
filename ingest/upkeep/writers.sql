-- Which transactions are writing readings.

-- name: writers
-- -> the transactions that hold a writer's lock on ven_telemetry, and whose each is
SELECT DISTINCT l.virtualtransaction AS transaction,
       CASE WHEN l.pid IS NULL THEN 'prepared transaction ' || l.virtualtransaction
            ELSE coalesce(nullif(a.application_name, ''), 'a session') || ' (process ' || l.pid || ')' END AS who
FROM pg_locks l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation = 'ven_telemetry'::regclass
  AND l.pid IS DISTINCT FROM pg_backend_pid()
