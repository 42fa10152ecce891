"""How often a service searches for objects that refer only to each other."""

import gc

# Messages and answers hold no reference cycles. Python's default, a search after every 700 new objects, takes a tenth
# of the time of ingest and of the api.
_THRESHOLD = 50_000


def collect_seldom() -> None:
    """Search after every 50,000 new objects, and leave out those that exist now: they live until the exit."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
