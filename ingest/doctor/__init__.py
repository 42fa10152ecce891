"""`ecs-backend doctor`: checks whether the servers keep what ingest promises.

database: checks PostgreSQL
broker: tries a session, a queue and a shared subscription, on topics of its own
finding: one result; `__main__` prints a line for each
ingest makes the cheap checks too, at every connection: `ingest/db_promises.py`, `ingest/receive/broker_promises.py`.
"""
