"""The service itself:

health: /health, /health/db-check, /metrics
schema: what the database must have
contract: /openapi.json and /docs, from docs/backend-api.yaml
"""
