"""The database's schema: plain SQL steps with their rollbacks, applied by yoyo in order of name."""
