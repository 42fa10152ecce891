-- Does nothing any more: after every run, `migrate` makes the role that the api reads as, and lets it read all tables
-- (shared/commands/api_role.py). The step stays, because databases have recorded it.
-- depends: 0004.current-loads

DO $$ BEGIN END $$;
