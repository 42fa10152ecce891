"""What ingest and api both stand on: settings, wire structs, the database, logs, the command."""
