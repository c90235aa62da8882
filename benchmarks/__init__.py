"""Benchmarks: one module, one command and one table each; `python -m benchmarks` runs all and rewrites README.md."""
