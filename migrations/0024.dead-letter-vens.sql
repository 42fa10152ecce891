-- The VEN of a dead letter, so that an operator finds all dead letters of one VEN.
-- depends: 0023.dead-letter-kinds

-- null: the message names no VEN, or it came before this column.
ALTER TABLE dead_letters ADD COLUMN ven_id text COLLATE "C";
