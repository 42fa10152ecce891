"""The fault suite: constant load, real faults, and a ledger that the database must equal afterwards."""
