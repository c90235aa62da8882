"""Vectors that exist already: in files (`source`, `rows`) and in a PostgreSQL table (`database`)."""
