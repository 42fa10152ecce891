"""Embedded PostgreSQL and MQTT broker, for a machine that has none: child processes with data in a directory."""
