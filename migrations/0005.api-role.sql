-- Nothing any more: `migrate` makes the role the api reads as, and grants it what is there, after every run
-- (shared/commands/api_role.py). The step stays, because databases have noted it.
-- depends: 0004.current-loads

DO $$ BEGIN END $$;
