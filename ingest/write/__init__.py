"""From decoded messages to the database, and back to the broker as acknowledgements:

inbox: messages wait here until there is a batch
writer: two batches at a time, over two connections (`lane`); acknowledges after COMMIT
batch: writes one batch in one transaction; `vens` (`clocks`), `loads`, `statuses` (`timeline`), `flaws` (`conflicts`)
    and `dead_letters` write their tables; `outcomes`: what became of each message
retry: writes a failed batch alone: again, in halves, or as dead letters (`known_good`: is it the database's fault?)
flush_log: what was written since the last line of the log
"""
