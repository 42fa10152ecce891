-- A VEN's loads as they are now.
-- depends: 0003.rollups

-- The loads are those of the VEN's samples at loads_ts, and those known only from snapshots. A field that a sample
-- lacks is taken from ven_loads; a strictly newer snapshot overrides the sample field by field. Telemetry's list is
-- complete: a load that it listed before and no longer lists is gone, unless a newer snapshot names it. A missing shed
-- capability is what the load sheds now, or 0; a missing capacity is current power + shed capability. LATERAL:
-- otherwise the planner would scan whole tables for many VENs.
CREATE VIEW current_loads AS
SELECT v.ven_id, l.load_id, l.load_type, l.name, l.power_kw, l.shed_capability_kw,
       coalesce(l.capacity_kw, l.power_kw + l.shed_capability_kw) AS capacity_kw
FROM vens v
JOIN LATERAL (
    SELECT load_id,
           CASE WHEN k.snapshot_ts > v.loads_ts THEN coalesce(k.load_type, s.load_type)
                ELSE coalesce(s.load_type, k.load_type) END AS load_type,
           CASE WHEN k.snapshot_ts > v.loads_ts THEN coalesce(k.name, s.name)
                ELSE coalesce(s.name, k.name) END AS name,
           CASE WHEN k.snapshot_ts > v.loads_ts THEN coalesce(k.capacity_kw, s.capacity_kw)
                ELSE coalesce(s.capacity_kw, k.capacity_kw) END AS capacity_kw,
           coalesce(CASE WHEN k.snapshot_ts > v.loads_ts THEN coalesce(k.used_power_kw, s.used_power_kw)
                         ELSE coalesce(s.used_power_kw, k.used_power_kw) END, 0) AS power_kw,
           coalesce(CASE WHEN k.snapshot_ts > v.loads_ts THEN coalesce(k.shed_capability_kw, s.shed_capability_kw)
                         ELSE coalesce(s.shed_capability_kw, k.shed_capability_kw) END,
                    s.shed_power_kw, 0) AS shed_capability_kw
    FROM (SELECT * FROM ven_load_samples WHERE ven_id = v.ven_id AND ts = v.loads_ts) AS s
    FULL JOIN (SELECT * FROM ven_loads WHERE ven_id = v.ven_id) AS k USING (load_id)
    WHERE s.ven_id IS NOT NULL
       OR k.snapshot_ts IS NOT NULL AND (NOT k.sampled OR v.loads_ts IS NULL OR k.snapshot_ts > v.loads_ts)
) AS l ON true;
