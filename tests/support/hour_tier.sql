-- A tier of an hour, by a migration as CONTRIBUTING.md says, "How to add".
-- depends: 0024.dead-letter-vens

CREATE TABLE network_power_60m (LIKE network_power_15m INCLUDING ALL);
CREATE TABLE ven_power_60m (LIKE ven_power_15m INCLUDING ALL) PARTITION BY RANGE (bucket);
CREATE TABLE load_power_60m (LIKE load_power_15m INCLUDING ALL) PARTITION BY RANGE (bucket);

CREATE OR REPLACE FUNCTION make_rollup_month(at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
BEGIN
    PERFORM make_partition(parent, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC')
    FROM unnest('{ven_power_5m,ven_power_15m,ven_power_60m,load_power_5m,load_power_15m,load_power_60m}'::regclass[])
        AS parent;
END
$$;

-- Fills the tables from their source, until the open hour.
DO $$
BEGIN
    PERFORM make_rollup_month(month)
    FROM (SELECT DISTINCT date_trunc('month', bucket, 'UTC') AS month FROM network_power_15m
          UNION SELECT DISTINCT date_trunc('month', bucket, 'UTC') FROM load_power_15m) AS months;
END
$$;

INSERT INTO network_power_60m
SELECT date_bin('1 hour', bucket, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh), sum(requested_uwh),
       sum(covered_us), sum(event_us), max(event_id)
FROM network_power_15m
WHERE bucket < (SELECT date_bin('1 hour', watermark, '1970-01-01 00:00:00+00') FROM rollup_state)
GROUP BY 1;

INSERT INTO ven_power_60m
SELECT ven_id, date_bin('1 hour', bucket, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh), sum(requested_uwh),
       sum(covered_us), sum(event_us), max(event_id)
FROM ven_power_15m
WHERE bucket < (SELECT date_bin('1 hour', watermark, '1970-01-01 00:00:00+00') FROM rollup_state)
GROUP BY 1, 2;

INSERT INTO load_power_60m
SELECT ven_id, load_id, date_bin('1 hour', bucket, '1970-01-01 00:00:00+00'), sum(used_uwh), sum(shed_uwh),
       sum(covered_us)
FROM load_power_15m
WHERE bucket < (SELECT date_bin('1 hour', loads_watermark, '1970-01-01 00:00:00+00') FROM rollup_state)
GROUP BY 1, 2, 3;
