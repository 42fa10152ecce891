"""What is stored, kept in shape by the one process that leads:

leader: takes the lead, and what it does when
rollup: closed buckets of raw rows → rollups; late rows → the same buckets again
retention: what has outlived its days goes
rebuild: `ecs-backend rollup --rebuild`, beside live ingest
"""
