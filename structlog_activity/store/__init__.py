"""Where records rest: the tables, and one repository for each database."""
