"""How activities are caught: log calls in, records out."""
