DROP FUNCTION bucket_of;
DROP TABLE dirty_buckets;
DROP TABLE rollup_state;
DROP TABLE load_power_5m;
DROP TABLE ven_power_5m;
DROP TABLE network_power_5m;
DROP TABLE network_power_1m;
