"""What ingest stored, answered: histories, loads, statistics."""
