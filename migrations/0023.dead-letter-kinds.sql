-- What a dead letter is one of: so that a VEN which sends the same mistake with every report is news once.
-- depends: 0022.sessions

-- kind_sha256: of its topic, its VEN where it names one, and its reason without figures; null: from before.
ALTER TABLE dead_letters ADD COLUMN kind_sha256 bytea;
CREATE INDEX dead_letters_kind ON dead_letters (kind_sha256);
