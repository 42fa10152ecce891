-- When VENs were heard, by the clock of ingest: the clocks of VENs are wrong now and then.
-- depends: 0005.api-role

-- telemetry_received_at: first arrival of the reading at telemetry_ts; telemetry_at: the earlier of both, by which the
-- latest reading is found; loads_at: the same of the list at loads_ts. last_seen_at: arrival of the latest telemetry
-- or status that does not mean offline; offline_at: arrival of the latest that does; status_received_at: arrival of
-- the latest status. lateness: s from the time of the VEN's last live reading to its arrival; clock_offset: the median
-- of these over its last few readings.
ALTER TABLE vens
    ADD COLUMN telemetry_received_at timestamptz,
    ADD COLUMN telemetry_at timestamptz,
    ADD COLUMN loads_at timestamptz,
    ADD COLUMN offline_at timestamptz,
    ADD COLUMN status_received_at timestamptz,
    ADD COLUMN lateness double precision,
    ADD COLUMN clock_offset double precision;

UPDATE vens SET
    telemetry_received_at = telemetry_ts, telemetry_at = telemetry_ts, loads_at = loads_ts,
    status_received_at = least(status_at, now()),
    offline_at = CASE WHEN lower(status) IN ('offline', 'disconnected', 'lost')
                       AND NOT status_at < coalesce(telemetry_ts, '-infinity') THEN last_seen_at END;

-- received_at: arrival of the status; recorded_at: its own time where that fits between its neighbours by arrival.
ALTER TABLE ven_statuses ADD COLUMN received_at timestamptz;
UPDATE ven_statuses SET received_at = least(recorded_at, now());
ALTER TABLE ven_statuses ALTER COLUMN received_at SET NOT NULL;
CREATE INDEX ven_statuses_received_at ON ven_statuses (ven_id, received_at);

-- Defines once who is online and whose power counts. alive_at: the latest sign of life, null after a status that
-- means offline; a VEN is online while this is no older than VEN_OFFLINE_AFTER. spoke_at: the VEN's latest reading
-- counts in sums for VEN_OFFLINE_AFTER from this time on. It is the reading's own time, or its arrival if the VEN's
-- readings are usually that late (its clock is slow), so that a backlog does not count as now.
CREATE VIEW ven_signs AS
SELECT ven_id, CASE WHEN offline_at >= last_seen_at THEN NULL ELSE last_seen_at END AS alive_at,
       greatest(telemetry_ts,
                least(telemetry_received_at, telemetry_ts + lateness * interval '1 second')) AS spoke_at
FROM vens;
