"""HTTP request → parameters → SQL → JSON: a read-only ASGI app over what ingest stored."""
