ALTER TABLE dead_letters DROP COLUMN ven_id;
