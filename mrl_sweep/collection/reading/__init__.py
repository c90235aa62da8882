"""Lines, tables and records: what the loaders read their files with."""
