"""The daemon that stores what VENs report over MQTT, in the order in which a message passes:

receive: the connection to the broker; bytes → topic → decoded message
write: decoded messages → batch → COPY → COMMIT → acknowledgement
upkeep: done by one process, the leader: partitions made ahead, rollups, retention (dropping old rows)
plain modules: `message` (what is passed on), `database` (connections), `health`, `metrics`, `http`, `db_probe`
`service` wires them together, `__main__` runs it; `doctor`, `dead_letters` and `leave` are commands of their own
"""
