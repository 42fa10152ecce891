-- Rows are found by time in a B-tree, not in a BRIN. A BRIN has only what VACUUM or autovacuum's queue of 256 requests
-- has summarized, and everything else is read whole at each look-up: at some thousand messages a second that is today's
-- partition. Samples are found by their list's key alone. On a large database, building these indexes takes a while.
-- depends: 0024.dead-letter-vens

DROP INDEX ven_telemetry_ts;
DROP INDEX ven_load_samples_ts;
DROP INDEX ven_power_5m_bucket;
DROP INDEX ven_power_15m_bucket_idx;
DROP INDEX load_power_5m_bucket;
DROP INDEX load_power_15m_bucket_idx;

CREATE INDEX ven_telemetry_ts ON ven_telemetry (ts);
CREATE INDEX ven_power_5m_bucket ON ven_power_5m (bucket);
CREATE INDEX ven_power_15m_bucket ON ven_power_15m (bucket);
CREATE INDEX load_power_5m_bucket ON load_power_5m (bucket);
CREATE INDEX load_power_15m_bucket ON load_power_15m (bucket);
