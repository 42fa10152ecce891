DO $$
DECLARE
    current_loads text := pg_get_viewdef('current_loads'::regclass);
    day record;
BEGIN
    -- In the order of writers: nobody stores what would not be carried over.
    LOCK TABLE ven_telemetry IN SHARE MODE;
    LOCK TABLE ven_load_lists IN ACCESS EXCLUSIVE MODE;
    DROP VIEW current_loads;
    DROP VIEW ven_load_samples;
    CREATE TABLE ven_load_samples (
        ven_id text COLLATE "C" NOT NULL,
        ts timestamptz NOT NULL,
        load_id text COLLATE "C" NOT NULL,
        load_type text,
        name text,
        used_power_kw double precision NOT NULL,
        shed_power_kw double precision,
        shed_capability_kw double precision,
        capacity_kw double precision
    ) PARTITION BY RANGE (ts);
    CREATE INDEX ven_load_samples_key ON ven_load_samples (ven_id, ts);
    FOR day IN
        SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz AS starts,
               substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ven_load_lists'::regclass
        ORDER BY c.relname
    LOOP
        PERFORM make_partition('ven_load_samples', day.starts, day.ends);
    END LOOP;
    INSERT INTO ven_load_samples
    SELECT ven_id, ts, unnest(load_ids), unnest(load_types), unnest(names), unnest(used_power_kw),
           unnest(shed_power_kw), unnest(shed_capability_kw), unnest(capacity_kw)
    FROM ven_load_lists;
    DROP TABLE ven_load_lists;
    EXECUTE 'CREATE VIEW current_loads AS ' || current_loads;
END
$$;

CREATE OR REPLACE FUNCTION make_raw_day(day timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('ven_load_samples_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL THEN
        PERFORM pg_advisory_xact_lock(1701016949);
    END IF;
    IF day + interval '24 hours' <= (SELECT raw_from FROM rollup_state) THEN
        RETURN false;
    END IF;
    PERFORM make_partition('ven_telemetry', day, day + interval '24 hours');
    PERFORM make_partition('ven_load_samples', day, day + interval '24 hours');
    RETURN true;
END
$$;
