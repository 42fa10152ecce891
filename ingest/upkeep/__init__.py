"""What is stored, kept in shape by the one process that leads:

leader, lead: what it does when, and how it takes the lead; horizon: how far behind the clock it counts
tick, loads: the watermarks move, and readings become sums; writers: whom that waits for; alone: one counts at a time
late: readings that came too late are counted after all
recount, history, rebuild: closed time counted again from raw rows
sums: what is done alike to every tier of shared/tiers.py; fragments: what the statements share
retention: what has outlived its days goes
"""
