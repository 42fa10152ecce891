-- What VENs send that is not quite right: the latest of each kind, and how often.
-- depends: 0020.signs-of-life

-- kind: 'flawed' (a part of a message was left out) or 'conflict' (a reading that differs from the one stored).
CREATE TABLE ven_flaws (
    ven_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times bigint NOT NULL,
    topic text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (ven_id, kind)
) WITH (fillfactor = 70);
