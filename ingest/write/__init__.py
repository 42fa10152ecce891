"""Decoded messages to the database: collect, batch, copy, commit, acknowledge."""
