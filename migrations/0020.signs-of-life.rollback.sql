DROP VIEW ven_signs;
ALTER TABLE ven_statuses DROP COLUMN received_at;
ALTER TABLE vens
    DROP COLUMN telemetry_received_at, DROP COLUMN telemetry_at, DROP COLUMN loads_at, DROP COLUMN offline_at,
    DROP COLUMN status_received_at, DROP COLUMN lateness, DROP COLUMN clock_offset;
