"""Answers about the data that ingest stored, in the order in which a request passes:

history, loads, fleet, stats: the handlers; a history's answer is encoded in `history`
params: parses the query string of a history
buckets, calendar: the buckets of a history, and the rollup tier that has them
sources: the history of a VEN, a load or the network; queries: runs the SQL of history.sql and queries.sql
points: rows → the points of an answer
live, totals (by shared_result), together: results that several requests share
"""
