"""What a size costs to serve and what it keeps on a larger corpus."""
