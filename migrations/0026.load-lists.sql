-- A list of loads is one row, with an array for each field of its loads, where it was a row for each load
-- (docs/decisions/0020-a-list-of-loads-is-one-row.md). ven_load_samples, a row for each load, is a view now. Rows that
-- are there are carried over; on a large database this takes a while (docs/operations.md).
-- depends: 0025.time-indexes

-- An array of optional fields is null if none of the loads has the field. A list of no loads is a row too: it ends what
-- the list before it says.
CREATE TABLE ven_load_lists (
    ven_id text COLLATE "C" NOT NULL,
    ts timestamptz NOT NULL,
    load_ids text[] COLLATE "C" NOT NULL,
    load_types text[],
    names text[],
    used_power_kw double precision[] NOT NULL,
    shed_power_kw double precision[],
    shed_capability_kw double precision[],
    capacity_kw double precision[],
    PRIMARY KEY (ven_id, ts)
) PARTITION BY RANGE (ts);

-- By the five minutes in which it is counted: an entry takes a few bytes, and lists of a VEN are looked up by the key
-- alone, even if the planner knows nothing of the table yet.
CREATE INDEX ven_load_lists_counted_at ON ven_load_lists (date_bin('5 minutes', ts, '1970-01-01 00:00:00+00'));

DO $$
DECLARE
    current_loads text := pg_get_viewdef('current_loads'::regclass);
    day record;
BEGIN
    -- In the order of writers: nobody stores what would not be carried over.
    LOCK TABLE ven_telemetry IN SHARE MODE;
    LOCK TABLE ven_load_samples IN ACCESS EXCLUSIVE MODE;
    FOR day IN
        SELECT c.oid::regclass AS samples,
               substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz AS starts,
               substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ven_load_samples'::regclass
        ORDER BY c.relname
    LOOP
        PERFORM make_partition('ven_load_lists', day.starts, day.ends);
        EXECUTE format(
            'INSERT INTO ven_load_lists
             SELECT ven_id, ts, array_agg(load_id),
                    CASE WHEN count(load_type) > 0 THEN array_agg(load_type) END,
                    CASE WHEN count(name) > 0 THEN array_agg(name) END,
                    array_agg(used_power_kw),
                    CASE WHEN count(shed_power_kw) > 0 THEN array_agg(shed_power_kw) END,
                    CASE WHEN count(shed_capability_kw) > 0 THEN array_agg(shed_capability_kw) END,
                    CASE WHEN count(capacity_kw) > 0 THEN array_agg(capacity_kw) END
             FROM %s GROUP BY ven_id, ts ORDER BY ts, ven_id', day.samples);
        INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)
        SELECT t.ven_id, t.ts, '{}', '{}' FROM ven_telemetry t
        WHERE t.ts >= day.starts AND t.ts < day.ends AND t.lists_loads
        ON CONFLICT DO NOTHING;
    END LOOP;
    DROP VIEW current_loads;
    DROP TABLE ven_load_samples;
    -- Partitions that retention has detached but not dropped. What an operator has detached is left alone.
    FOR day IN
        SELECT oid::regclass AS samples FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^ven_load_samples_\d{8}$'
          AND obj_description(oid, 'pg_class') = 'expired'
    LOOP
        EXECUTE format('DROP TABLE %s', day.samples);
    END LOOP;
    CREATE VIEW ven_load_samples AS
    SELECT l.ven_id, l.ts, s.*
    FROM ven_load_lists l
    CROSS JOIN LATERAL unnest(l.load_ids, l.load_types, l.names, l.used_power_kw, l.shed_power_kw,
                              l.shed_capability_kw, l.capacity_kw)
        AS s (load_id, load_type, name, used_power_kw, shed_power_kw, shed_capability_kw, capacity_kw);
    EXECUTE 'CREATE VIEW current_loads AS ' || current_loads;
END
$$;

CREATE OR REPLACE FUNCTION make_raw_day(day timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('ven_load_lists_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL THEN
        PERFORM pg_advisory_xact_lock(1701016949);
    END IF;
    IF day + interval '24 hours' <= (SELECT raw_from FROM rollup_state) THEN
        RETURN false;
    END IF;
    PERFORM make_partition('ven_telemetry', day, day + interval '24 hours');
    PERFORM make_partition('ven_load_lists', day, day + interval '24 hours');
    RETURN true;
END
$$;
