"""Upkeep of what is stored, done by the process that leads:

leader, lead: the jobs and their order, and who leads; horizon: how far behind the clock the watermark stays
tick, loads: readings become sums, the watermarks move; writers: waits for open writers; alone: one counts at a time
late: counts readings that came after their time was counted
recount, history, rebuild: counts closed time again from raw rows
sums: statements that are the same for each tier of shared/tiers.py; fragments: what several statements share
retention: drops what has outlived its retention
"""
