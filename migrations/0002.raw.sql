-- What VENs sent. Both raw tables are partitioned by UTC day of ts; ingest makes the partitions.
-- depends: 0001.vens

CREATE TABLE ven_telemetry (
    ven_id text COLLATE "C" NOT NULL,
    ts timestamptz NOT NULL,
    used_power_kw double precision NOT NULL,
    shed_power_kw double precision NOT NULL,
    requested_reduction_kw double precision,
    event_id text COLLATE "C",
    battery_soc double precision,
    payload json NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ven_id, ts)
) PARTITION BY RANGE (ts);

CREATE INDEX ven_telemetry_ts ON ven_telemetry USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);

-- No unique index: a sample is stored with its telemetry row, which is unique.
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
CREATE INDEX ven_load_samples_ts ON ven_load_samples USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);

-- A row is a transition from one status to another.
CREATE TABLE ven_statuses (
    ven_id text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    status text NOT NULL,
    details jsonb,
    PRIMARY KEY (ven_id, recorded_at)
);

-- The arrival time of statuses that carry no time of their own, by the MQTT delivery they came in:
-- a delivery that the broker repeats keeps the time of its first arrival.
CREATE TABLE status_deliveries (
    client_id text COLLATE "C" NOT NULL,
    mid integer NOT NULL,
    message_sha256 bytea NOT NULL,
    arrived_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, mid)
);

-- Messages that could not be stored, one row for the same topic and payload. payload: the first 64 KiB.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_sha256 bytea NOT NULL UNIQUE,
    received_at timestamptz NOT NULL,
    times_seen bigint NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes bigint NOT NULL,
    error text NOT NULL
);

CREATE INDEX dead_letters_received_at ON dead_letters (received_at);
