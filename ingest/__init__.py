"""The daemon that stores what VENs report over MQTT, in the order in which a message passes:

receive: the connection to the broker; bytes → topic → decoded message
write: decoded messages → batch → COPY → COMMIT → acknowledgement
upkeep: one process leads: partitions ahead, rollups, what has outlived its retention
beside them: `message` (what is passed on), `database` (connections), `health`, `metrics`, `http`, `db_probe`
`service` wires them together, `__main__` runs it
"""
