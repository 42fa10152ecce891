"""The numbers of all advisory locks that this project takes in a database, in one list so that they differ.

Some are taken in .sql files, which cannot import this module; a test compares them with this list.
"""

# Held by the session of the ingest process that leads (ingest/upkeep/leader.py).
LEADER = 1818583396
# Held by the session of the ingest process that counts loads (ingest/upkeep/leader.py).
LOADS_LEADER = 1818583397
# Held by the session that migrates (shared/commands/migrate.py).
MIGRATE = 1835624306
# Held by the session that counts VENs and the network, or loads: the leader's, or a rebuild's (ingest/upkeep/alone.py).
COUNTING = 1919905900
COUNTING_LOADS = 1919905901
# Held by the transaction that makes or drops partitions (migrations/0003.rollups.sql, ingest/upkeep/retention.sql).
PARTITIONS = 1701016949
# Held by the session that retries dead letters (ingest/dead_letters/retry.py).
DEAD_LETTERS = 1684369524
