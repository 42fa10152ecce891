"""What ingest stored, answered:

params: the query string of a history
buckets: the buckets it asks for
queries: one function a question, SQL in history.sql and queries.sql
points: rows → the points of an answer
history, loads, stats: the handlers; totals: sums that several requests share
"""
