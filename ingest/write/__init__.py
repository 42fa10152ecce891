"""Decoded messages to the database and back as acknowledgements:

inbox: where they wait until there is a batch
writer: two batches at a time, over two connections (`lane`); acknowledges after COMMIT
batch: one batch, one transaction; `vens` (`clocks`), `loads`, `statuses` (`timeline`), `flaws` (`conflicts`),
    `dead_letters` write their tables; `outcomes` says what came of each message
retry: a batch that failed, alone: again, in halves, or as dead letters
flush_log: what was written since the last line of the log
"""
