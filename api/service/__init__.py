"""The service itself:

health: /health, /health/db-check, /metrics
schema: whether the database has the tables and migrations that the api needs
contract: /openapi.json and /docs, from docs/backend-api.yaml
"""
