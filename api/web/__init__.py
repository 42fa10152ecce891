"""HTTP, whatever the api is about, in the order in which a request passes:

bounded_connection: limits on time and size that uvicorn does not have
middleware: measures, checks keys, bounds bodies, answers any error
resource: one path, its methods and its query parameters; JSON and CSV; etag: 304 for what did not change
query_string, figures, lookup: what handlers share
errors: exceptions → application/problem+json
"""
