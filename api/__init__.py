"""The read-only REST api over what ingest stored, in the order in which a request passes:

web: HTTP, whatever the api is about: connections, middleware, paths, the query string, errors
telemetry: histories, loads and statistics: parameters → SQL → answer
fixtures: VENs and events that live in memory
page: what a browser shows at /
service: health, metrics, the OpenAPI document and its page
`database` (connections), `services` (the wiring), `app` (routes and errors), `__main__` (runs it)
"""
