"""HTTP, nothing of the field: connections with bounds, middleware, resources, errors, the query string."""
