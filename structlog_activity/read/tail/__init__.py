"""Records as they are committed, in the order of the ledger."""
