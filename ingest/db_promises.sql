-- The settings and the clock of the database that the promises depend on.

-- name: promises
-- -> whether a commit survives a crash, whether the session may write, and the server's clock in s since 1970
SELECT current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('transaction_read_only') AS read_only,
       extract(epoch FROM clock_timestamp())::float8 AS clock
