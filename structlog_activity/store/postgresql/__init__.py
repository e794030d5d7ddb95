"""PostgreSQL: the repository, and what it alone needs."""
