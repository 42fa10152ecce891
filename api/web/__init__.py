"""HTTP, and nothing of the field, in the order in which a request passes:

bounded_connection: limits on time and size that uvicorn does not have
middleware, slashes: measure, answer any error, keep slashes of ids, check keys, bound bodies
resource: one path, its methods and its query parameters; JSON and CSV; `etag`: 304 for an unchanged answer
query_string, figures, lookup: what handlers share
errors: exceptions → application/problem+json
"""
