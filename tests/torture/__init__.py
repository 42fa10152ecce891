"""The fault suite: constant load, real faults, and a ledger that must equal the database afterwards."""
