"""`ecs-backend dead-letters`: shows messages that could not be stored, tries again to store them, deletes them.

chosen: selects the dead letters that the command line means
shown: prints one for a person, and points at its defect
retry: sends them through today's decoder and writer; those that are stored leave the table
"""
