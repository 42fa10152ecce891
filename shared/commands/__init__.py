"""The `ecs-backend` command:

cli: reads the command line, and runs `up`, `migrate` and `status`, or turns into the module of another command
up: starts everything on this machine; `running`: lets other commands find its servers
migrate: brings the schema to this version; `api_role`: makes the role of the api
status: prints a report; `status_report`: its figures (`services`: from /health and /metrics), `status_screen`: its text
program, libpq: exit codes and errors in one line; `healthcheck`: for containers
"""
