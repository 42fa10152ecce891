-- Whose a dead letter is, so that an operator finds those of one VEN.
-- depends: 0023.dead-letter-kinds

-- null: the message names no VEN, or it came before this.
ALTER TABLE dead_letters ADD COLUMN ven_id text COLLATE "C";
