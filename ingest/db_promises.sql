-- What the promises need of the database's settings.

-- name: promises
-- -> whether a commit survives a crash, whether it may write, and its clock in s since 1970
SELECT current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('transaction_read_only') AS read_only,
       extract(epoch FROM clock_timestamp())::float8 AS clock
