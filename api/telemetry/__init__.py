"""What ingest stored, answered:

params: the query string of a history; buckets, calendar: the spans of time it asks for, and which tier has them
sources: whose history it is; queries: one function a question, SQL in history.sql and queries.sql
points: rows → the points of an answer
history, loads, fleet, stats: the handlers; live, totals, shared_result: what several requests share
"""
