DROP INDEX ven_telemetry_ts;
DROP INDEX ven_power_5m_bucket;
DROP INDEX ven_power_15m_bucket;
DROP INDEX load_power_5m_bucket;
DROP INDEX load_power_15m_bucket;

CREATE INDEX ven_telemetry_ts ON ven_telemetry USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX ven_load_samples_ts ON ven_load_samples USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX ven_power_5m_bucket ON ven_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX ven_power_15m_bucket_idx ON ven_power_15m USING brin (bucket)
WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX load_power_5m_bucket ON load_power_5m USING brin (bucket) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX load_power_15m_bucket_idx ON load_power_15m USING brin (bucket)
WITH (pages_per_range = 32, autosummarize = on);
