ALTER TABLE dead_letters DROP COLUMN kind_sha256;
