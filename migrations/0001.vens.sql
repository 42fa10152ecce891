-- VENs as they are now, and what is known of their loads.
-- depends:

-- One row a VEN. last_seen_at: arrival of its latest telemetry or status (null: only load snapshots so far);
-- telemetry_ts, loads_ts, status_at: times the VEN gave. Updated once a batch, in place (fillfactor).
CREATE TABLE vens (
    ven_id text COLLATE "C" PRIMARY KEY,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz,
    telemetry_ts timestamptz,
    used_power_kw double precision,
    shed_power_kw double precision,
    requested_reduction_kw double precision,
    event_id text COLLATE "C",
    battery_soc double precision,
    loads_ts timestamptz,
    status text,
    status_at timestamptz
) WITH (fillfactor = 50);

-- What is known of a load besides its samples. ts: the time of that knowledge; only newer knowledge replaces it.
-- sampled: telemetry has listed the load; snapshot_ts: the newest snapshot that lists it.
CREATE TABLE ven_loads (
    ven_id text COLLATE "C" NOT NULL,
    load_id text COLLATE "C" NOT NULL,
    ts timestamptz NOT NULL,
    sampled boolean NOT NULL,
    load_type text,
    name text,
    capacity_kw double precision,
    snapshot_ts timestamptz,
    shed_capability_kw double precision,
    used_power_kw double precision,
    PRIMARY KEY (ven_id, load_id)
) WITH (fillfactor = 70);
