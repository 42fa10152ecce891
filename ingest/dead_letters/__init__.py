"""`ecs-backend dead-letters`: looks at messages that could not be stored, and stores them after all.

chosen: which of them the command line means
shown: one of them for a person, with the defect pointed at
retry: through today's decoder and writer; what is stored leaves the table
"""
