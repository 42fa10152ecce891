"""What ingest and api both import; it imports neither:

config: settings, from the environment and .env
errors, logs: the exceptions, the log
db, sql: connections and their errors, named blocks of .sql files
ports: TCP ports
tiers: the tiers of rollups, a row each
commands, embedded: the `ecs-backend` command; PostgreSQL and mosquitto of our own
"""
