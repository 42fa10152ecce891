"""MQTT message → decode → batch → COPY: the daemon that stores what VENs report."""
