"""`ecs-backend doctor`: whether the servers keep what ingest promises.

`__main__` prints a line for each finding. `database` looks at PostgreSQL, `broker` tries a session, a queue and a
shared subscription on topics of its own. ingest makes the cheap ones of these checks too, at every connection:
`ingest/db_promises.py`, `ingest/receive/broker_promises.py`.
"""
