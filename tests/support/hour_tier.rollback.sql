CREATE OR REPLACE FUNCTION make_rollup_month(at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
BEGIN
    PERFORM make_partition(parent, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC')
    FROM unnest('{ven_power_5m,ven_power_15m,load_power_5m,load_power_15m}'::regclass[]) AS parent;
END
$$;

DROP TABLE network_power_60m, ven_power_60m, load_power_60m;
