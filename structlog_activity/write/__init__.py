"""How records wait: the buffer between log calls and the database."""
