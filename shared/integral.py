"""Power as an integral, in SQL: the fragments that ingest and the api share. docs/architecture.md, "Meaning of the
numbers"."""

from pathlib import Path

from shared.sql import load_blocks

FRAGMENTS = load_blocks(Path(__file__).with_name("integral.sql"))
