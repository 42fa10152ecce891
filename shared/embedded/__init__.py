"""PostgreSQL and an MQTT broker for a machine that has none: child processes with data in a directory."""
