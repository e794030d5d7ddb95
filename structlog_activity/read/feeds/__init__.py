"""The feed of a filter, page by page, and single records."""
