"""Modules that ingest and api both import; `shared` imports neither of them:

config: settings, from the environment and .env (`certificates`: their TLS files)
errors, logs, terminal, tables: exceptions; the log; output for a person
db, db_errors, sql: connections to PostgreSQL, their errors, named blocks of .sql files
mqtt, ports: connections to the broker, TCP ports
integral, tiers: power's integral in SQL; the tiers of rollups, a row each
clocks, advisory_locks: facts that several programs need
commands, embedded: the `ecs-backend` command; the embedded PostgreSQL and mosquitto
"""
