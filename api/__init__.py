"""The read-only REST api over the data that ingest stored, in the order in which a request passes:

web: HTTP, and nothing of the field: connections, middleware, paths, the query string, errors
telemetry: histories, loads and statistics: parameters → SQL → answer
fixtures: VENs and events that live in memory
page: the page at / for a browser
service: health, metrics, the OpenAPI document and its page
`database` (connections), `load`, `services` (the wiring), `app` (routes and errors), `__main__` (runs it)
"""
