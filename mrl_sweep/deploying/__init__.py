"""What is deployed: indexes, shortlists, bytes, latency, the plan for a larger corpus."""
