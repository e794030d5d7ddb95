"""How records wait for the transaction of a SQLAlchemy session, whose fate they share."""
