"""How records are seen: filters, feeds in pages, statistics."""
