"""How many records there are: in all, by kind, over time."""
