-- The kind of a dead letter, so that a mistake that a VEN repeats with every report is new only once.
-- depends: 0022.sessions

-- kind_sha256: of its topic, its VEN if it names one, and its reason without figures; null: it came before this column.
ALTER TABLE dead_letters ADD COLUMN kind_sha256 bytea;
CREATE INDEX dead_letters_kind ON dead_letters (kind_sha256);
