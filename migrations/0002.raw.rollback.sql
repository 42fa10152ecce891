DROP TABLE dead_letters;
DROP TABLE status_deliveries;
DROP TABLE ven_statuses;
DROP TABLE ven_load_samples;
DROP TABLE ven_telemetry;
