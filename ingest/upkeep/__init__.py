"""What the leader does with what is stored: partitions, rollups, retention, rebuild."""
