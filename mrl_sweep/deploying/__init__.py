"""Deployment: target databases, indexes, shortlists, bytes, latency, the plan for a larger corpus and its bill."""
